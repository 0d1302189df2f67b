/* The real supervisor over a command of this machine instead of one in a container: no mount, no namespace, no privilege. */
#define _GNU_SOURCE
#include "../../../native/enter.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int count, char **arguments)
{
	struct request request;
	sigset_t child;
	(void)count;
	parse_arguments(&request, arguments + 2);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signal(SIGPIPE, SIG_IGN);
	say("supervisor %d", getpid());
	volatile pid_t *command = mmap(NULL, sizeof *command, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t forked = fork();
	if (forked == 0) {
		int keep = request.gate;
		for (int fd = 3; fd < 64; fd++)
			if (fd != keep)
				close(fd);
		run_command(&request);
	}
	*command = forked;
	supervise(&request, -1, command);
}
