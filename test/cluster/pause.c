/* Holds a pod's namespaces. Pid 1 of a pod with a shared pid namespace, so it reaps what is orphaned there. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void quit(int signal) { _exit(128 + signal); }

static void reap(int signal) {
	(void)signal;
	while (waitpid(-1, 0, WNOHANG) > 0) {
	}
}

int main(void) {
	signal(SIGINT, quit);
	signal(SIGTERM, quit);
	struct sigaction child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP | SA_RESTART};
	sigaction(SIGCHLD, &child, 0);
	for (;;)
		pause();
}
