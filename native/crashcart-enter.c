/*
 * crashcart-enter run    REQUEST command…   start a command in a container
 * crashcart-enter place  REQUEST            put the toolbox into the container's own mount namespace
 * crashcart-enter remove REQUEST            take it out again
 *
 * Only the node agent runs this. REQUEST is the descriptor of a `struct request`. It speaks in lines on descriptor STATUS_FD:
 *   error STEP ERRNO DETAIL | supervisor PID | started PID | placed CREATED CREATEDDEV | removed
 * What comes after `started` stands in the session's memory (session.h), where the next agent finds it too.
 * Static, because a dynamic loader would obey the container's /etc/ld.so.preload with all our privileges.
 */
#include "enter.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static void default_signals(void)
{
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void inner_half(const struct request *request, char **command)
{
	/* A file system of the container that never answers may hold us: when the agent gives up, it ends the outer half. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* The highest: under memory pressure a debugging session goes before any workload. Raising it needs no privilege. */
	if (!write_to(AT_FDCWD, "/proc/self/oom_score_adj", "1000"))
		say("warning oom_score_adj %d", errno);
	join_cgroups(request->joins);
	load_filters(request);
	join_namespaces(request);
	place_in_session(request);
	/* Before the limits, which may leave no descriptor above it. */
	check("descriptors", dup2(request->gate, GATE_FD) == GATE_FD, "dup2(gate)");
	limit_resources(request);
	drop_privileges(request);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* the change of user has taken it back */
	take_label(request);
	/* What the next process must not have is closed before it exists, and what it needs to wait closes by its exec. */
	check("descriptors", !guarded(CLOSE_DESCRIPTORS) || syscall(SYS_close_range, GATE_FD + 1, ~0U, 0) == 0, "close_range");
	check("descriptors", syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0, "close_range(CLOSE_RANGE_CLOEXEC)");
	/* As the user, so that a directory that is closed to it stays closed; and with nothing open that a path could lead through. */
	char where[4096];
	if (chdir(request->cwd) < 0 || !getcwd(where, sizeof where) || where[0] != '/')
		check("cwd", chdir("/") == 0, "chdir(/)");
	umask(022);
	default_signals();
	check("memory", madvise(session, sizeof *session, MADV_DONTFORK) == 0, "madvise");
	if (guarded(LATE_FORK))
		drop_the_rest(request);
	/* Who traces what comes now must not speak for us: it gets neither the status pipe nor the session's memory. */
	if (guarded(OWN_VOICE))
		close(STATUS_FD);
	/*
	 * Fork last: until here the pid namespace was joined for children only, and the container saw nothing of us. Behind the filters
	 * nothing is called that a shell would not need as well, but capset, setsid and PR_SET_PDEATHSIG.
	 */
	long child = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
	if (child == 0)
		run_command(request, command);
	if (child > 0)
		session->told.command = (uint32_t)child;
	_exit(child < 0 ? errno : 0);
}

/* A move to another cgroup waits for a grace period of the whole kernel, some 10 ms; a birth there does not (Linux 5.7; setns by pidfd needs 5.8 anyway). */
static pid_t fork_into(int cgroup, uint64_t flags)
{
	struct clone_args arguments = {
		.flags = flags | (cgroup == NO_FD ? 0 : CLONE_INTO_CGROUP),
		.cgroup = (uint64_t)cgroup,
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
	check("fork", pid >= 0, "clone3(into a cgroup)");
	return pid;
}

static void run(const struct request *request, char **command)
{
	signal(SIGCHLD, SIG_DFL); /* what is ignored is inherited, and then no child could be waited for */
	signal(SIGPIPE, SIG_IGN); /* whoever does not listen any more must not end the supervisor */
	if (request->hostcgroup != NO_FD)
		check("setns", setns(request->hostcgroup, CLONE_NEWCGROUP) == 0, "setns(the host's cgroup namespace)");
	/* The supervisor: where the agent's end is not its own, and still the agent's child. */
	if (request->home != NO_FD && fork_into(request->home, CLONE_PARENT) != 0)
		_exit(0);
	/* Before anything of it can fail: the agent has to reap it. */
	say("supervisor %d", getpid());
	join_cgroups(request->homes);
	open_session(request);
	pid_t inner = fork_into(guarded(OWN_CGROUP) ? request->cgroup : NO_FD, 0);
	if (inner == 0)
		inner_half(request, command);
	supervise(request, inner);
}

int main(int count, char **arguments)
{
	static struct request request;
	/* Nobody may trace us, read our memory or open our descriptors: the flag holds until exec and through forks. */
	prctl(PR_SET_DUMPABLE, !guarded(UNDUMPABLE), 0, 0, 0);
	prctl(PR_SET_NAME, "crashcart-enter", 0, 0, 0);
	setsid(); /* a signal to the agent's process group is not for us */
	check("cwd", chdir("/") == 0, "chdir(/)");
	if (count < 3)
		return FAILED;
	read_request(&request, atoi(arguments[2]));
	if (strcmp(arguments[1], "run") == 0 && count > 3)
		run(&request, arguments + 3);
	join_namespaces(&request);
	if (strcmp(arguments[1], "place") == 0)
		place_in_container(&request);
	else if (strcmp(arguments[1], "remove") == 0)
		remove_from_container(&request);
	else
		fail("arguments", EINVAL, "%s is not known", arguments[1]);
	return 0;
}
