#define _GNU_SOURCE
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void ignore_signal(int number)
{
	(void)number;
}

/* The session's streams belong to the session: a copy here would keep them open after its end. */
static void let_go(const struct request *request)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	if (null > 2)
		close(null);
	close(request->gate);
	close(request->joined[0]);
	close(request->joined[1]);
	if (request->hostcgroup != NO_FD)
		close(request->hostcgroup);
	if (request->toolbox != NO_FD)
		close(request->toolbox);
	if (request->devpts != NO_FD)
		close(request->devpts);
	for (int i = 0; i < request->njoins; i++)
		close(request->joins[i]);
	for (int i = 0; i < request->nfilters; i++)
		close(request->filters[i]);
}

static void kill_session(const struct request *request)
{
	if (request->cgroup == NO_FD)
		return;
	int switch_ = openat(request->cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (switch_ < 0)
		return; /* before Linux 5.14: the agent, told below, kills one by one */
	if (write(switch_, "1", 1) < 0)
		say("warning cgroup.kill %d", errno);
	close(switch_);
}

static void report_exit(int status)
{
	if (WIFSIGNALED(status))
		say("exited %d %d", 128 + WTERMSIG(status), WTERMSIG(status));
	else
		say("exited %d 0", WEXITSTATUS(status));
	_exit(0);
}

/* Ends when the command has; the inner half's own end says only whether there will be a command. */
static void reap(pid_t inner)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0;) {
		if (pid != inner)
			report_exit(status);
		else if (WIFSIGNALED(status))
			fail("inner", EINTR, "the entering process was ended by signal %d", WTERMSIG(status));
		else if (WEXITSTATUS(status) != 0)
			_exit(WEXITSTATUS(status)); /* it has said why */
	}
}

/*
 * A container that holds CAP_SYS_PTRACE can trace the command, and then its end is the tracer's to learn first, if it ever cares to. The
 * process is dead all the same, and its status stands in /proc.
 */
static void report_withheld_exit(pid_t command)
{
	char path[64], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", command);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	text[length < 0 ? 0 : length] = '\0';
	const char *last = strrchr(text, ' ');
	report_exit(last ? atoi(last) : SIGKILL);
}

static int open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/*
 * Outside the container and outside the session's cgroup: keeps the PTY master open and the exit status safe. A container that shares
 * its pid namespace with others can end without its session: the pidfd tells.
 */
void supervise(const struct request *request, pid_t inner, const volatile pid_t *command)
{
	static const struct timespec withheld_after = { .tv_nsec = 200 * 1000 * 1000 };
	sigset_t none;
	struct sigaction action = { .sa_handler = ignore_signal };
	struct pollfd watched[] = { { .fd = request->pidfd, .events = POLLIN }, { .fd = NO_FD, .events = POLLIN } };
	struct pollfd *target = &watched[0], *session = &watched[1];
	bool dead = false;
	sigemptyset(&none);
	sigaction(SIGCHLD, &action, NULL);
	let_go(request);
	for (;;) {
		reap(inner);
		if (session->fd == NO_FD && *command != 0 && !dead)
			session->fd = open_pidfd(*command);
		int ready = ppoll(watched, 2, dead ? &withheld_after : NULL, &none);
		if (ready == 0) {
			reap(inner);
			report_withheld_exit(*command);
		}
		if (ready > 0 && target->fd >= 0 && target->revents) {
			say("target-exited");
			kill_session(request);
			target->fd = -1;
		}
		if (ready > 0 && session->fd >= 0 && session->revents) {
			dead = true;
			session->fd = -2;
		}
	}
}
