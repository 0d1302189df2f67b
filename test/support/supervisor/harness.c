/* The real supervisor over a command of this machine instead of one in a container: no mount, no namespace, no privilege. */
#define _GNU_SOURCE
#include "../../../native/enter.h"
#include "../../../native/session.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>

int main(int count, char **arguments)
{
	static struct request request;
	(void)count;
	read_request(&request, atoi(arguments[2]));
	signal(SIGPIPE, SIG_IGN);
	say("supervisor %d", getpid());
	open_session(&request);
	pid_t inner = fork();
	if (inner == 0) {
		dup2(request.gate, GATE_FD);
		for (int fd = GATE_FD + 1; fd < 64; fd++)
			close(fd);
		close(STATUS_FD);
		long command = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
		if (command == 0)
			run_command(&request, arguments + 3);
		if (command > 0)
			session->told.command = (uint32_t)command;
		_exit(command < 0 ? errno : 0);
	}
	supervise(&request, inner);
}
