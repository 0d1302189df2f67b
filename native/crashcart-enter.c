/*
 * crashcart-enter run    name=value… -- command…   start a command in a container
 * crashcart-enter place  name=value…               put the toolbox into the container's own mount namespace
 * crashcart-enter remove name=value…               take it out again
 *
 * Only the node agent runs this. It speaks in lines on the `status` descriptor:
 *   error STEP ERRNO DETAIL | supervisor PID | started PID | placed CREATED CREATEDDEV | removed
 * What comes after `started` stands in the session's memory (session.h), where the next agent finds it too.
 * Static, because a dynamic loader would obey the container's /etc/ld.so.preload with all our privileges.
 */
#define _GNU_SOURCE
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The highest: under memory pressure a debugging session goes before any workload. Raising it needs no privilege. */
static void offer_to_oom_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "1000", 4) < 0)
		say("warning oom_score_adj %d", errno);
	close(fd);
}

static void close_all_but(int one, int other)
{
	int low = one < other ? one : other, high = one < other ? other : one;
	int first[] = { 3, low + 1, high + 1 }, last[] = { low - 1, high - 1, -1 };
	for (int i = 0; i < 3; i++)
		if (last[i] < 0 || first[i] <= last[i])
			check("descriptors", syscall(SYS_close_range, first[i], last[i], 0) == 0, "close_range(%d)", first[i]);
}

static void default_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	for (int number = 1; number < NSIG; number++)
		sigaction(number, &action, NULL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void inner_half(const struct request *request, volatile pid_t *command)
{
	/* A file system of the container that never answers may hold us: when the agent gives up, it ends the outer half. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	offer_to_oom_killer();
	join_cgroups(request->joins, request->njoins);
	load_confinement(request);
	join_namespaces(request);
	place_in_session(request);
	limit_resources(request);
	drop_privileges(request);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* the change of user has taken it back */
	take_label(request);
	/* What the next process must not have is closed before it exists, and what it needs to wait closes by its exec. */
	if (guarded(CLOSE_DESCRIPTORS))
		close_all_but(request->status, request->gate);
	check("descriptors", syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0, "close_range(CLOSE_RANGE_CLOEXEC)");
	/* As the user, so that a directory that is closed to it stays closed; and with nothing open that a path could lead through. */
	char where[4096];
	if (chdir(request->cwd) < 0 || !getcwd(where, sizeof where) || where[0] != '/')
		check("cwd", chdir("/") == 0, "chdir(/)");
	umask(022);
	default_signals();
	check("memory", madvise((void *)command, sizeof *command, MADV_DONTFORK) == 0, "madvise");
	if (guarded(LATE_FORK))
		drop_the_rest(request);
	/* Who traces what comes now must not speak for us: it gets neither the status pipe nor the memory that is shared with the outer half. */
	if (guarded(OWN_VOICE))
		close(request->status);
	/*
	 * Fork last: until here the pid namespace was joined for children only, and the container saw nothing of us. Behind the filters
	 * nothing is called that a shell would not need as well, but capset, setsid and PR_SET_PDEATHSIG.
	 */
	long child = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
	if (child == 0)
		run_command(request);
	*command = child < 0 ? -errno : (pid_t)child;
	_exit(0);
}

/* A move to another cgroup waits for a grace period of the whole kernel, some 10 ms; a birth there does not (Linux 5.7; setns by pidfd needs 5.8 anyway). */
static pid_t fork_into(int cgroup, uint64_t flags)
{
	struct clone_args arguments = { .flags = flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD };
	if (cgroup != NO_FD) {
		arguments.flags |= CLONE_INTO_CGROUP;
		arguments.cgroup = (uint64_t)cgroup;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
	check("fork", pid >= 0, "clone3(into a cgroup)");
	return pid;
}

/* The supervisor: where the agent's end is not its own, and still the agent's child. */
static void leave_agent(const struct request *request)
{
	if (request->home != NO_FD && fork_into(request->home, CLONE_PARENT) != 0)
		_exit(0);
	join_cgroups(request->homes, request->nhomes);
	say("supervisor %d", getpid());
}

static void run(struct request *request)
{
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signal(SIGPIPE, SIG_IGN); /* whoever does not listen any more must not end the supervisor */
	if (request->hostcgroup != NO_FD)
		check("setns", setns(request->hostcgroup, CLONE_NEWCGROUP) == 0, "setns(the host's cgroup namespace)");
	leave_agent(request);
	/* The inner half tells the outer one which process the command is, or, below zero, why there is none. */
	volatile pid_t *command = mmap(NULL, sizeof *command, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check("memory", command != MAP_FAILED, "mmap");
	pid_t inner = fork_into(guarded(OWN_CGROUP) ? request->cgroup : NO_FD, 0);
	if (inner == 0)
		inner_half(request, command);
	supervise(request, inner, command);
}

int main(int count, char **arguments)
{
	struct request request;
	/* Nobody may trace us, read our memory or open our descriptors: the flag holds until exec and through forks. */
	prctl(PR_SET_DUMPABLE, !guarded(UNDUMPABLE), 0, 0, 0);
	prctl(PR_SET_NAME, "crashcart-enter", 0, 0, 0);
	setsid(); /* a signal to the agent's process group is not for us */
	check("cwd", chdir("/") == 0, "chdir(/)");
	if (count < 3)
		return 125;
	parse_arguments(&request, arguments + 2);
	if (strcmp(arguments[1], "run") == 0 && request.command && *request.command)
		run(&request);
	join_namespaces(&request);
	if (strcmp(arguments[1], "place") == 0)
		place_in_container(&request);
	else if (strcmp(arguments[1], "remove") == 0)
		remove_from_container(&request);
	else
		fail("arguments", EINVAL, "%s is not known", arguments[1]);
	return 0;
}
