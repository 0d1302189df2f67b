#define _GNU_SOURCE
#include "enter.h"
#include "session.h"

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
	open_session(request);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	if (null > 2)
		close(null);
	close(request->gate);
	/* The agent lays them out so: from devpts on, all is the inner half's alone. */
	check("descriptors", syscall(SYS_close_range, request->devpts, ~0U, 0) == 0, "close_range(%d)", request->devpts);
}

static void kill_session(const struct request *request)
{
	if (request->cgroup == NO_FD)
		return;
	int switch_ = openat(request->cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (switch_ < 0) {
		/* Before Linux 5.14: the command at once, what it left by the agent, one by one. */
		if (shared()->told.command)
			kill((pid_t)shared()->told.command, SIGKILL);
		return;
	}
	if (write(switch_, "1", 1) < 0)
		say("warning cgroup.kill %d", errno);
	close(switch_);
}

static void record_exit(uint32_t code, uint32_t signal)
{
	struct told *told = &shared()->told;
	if (told->flags & EXITED)
		return;
	told->code = code;
	told->signal = signal;
	told->exited_at = nanoseconds(CLOCK_REALTIME);
	tell(EXITED);
	/* Nobody was told of a session: the agent did not let the command run, or has gone before it could. */
	if (!(__atomic_load_n(&shared()->asked.flags, __ATOMIC_ACQUIRE) & RELEASED))
		_exit(0);
}

static void record_status(int status)
{
	if (WIFSIGNALED(status))
		record_exit((uint32_t)(128 + WTERMSIG(status)), (uint32_t)WTERMSIG(status));
	else
		record_exit((uint32_t)WEXITSTATUS(status), 0);
}

/* The inner half's own end says only whether there will be a command. */
static void reap(pid_t inner)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0;) {
		if (pid != inner)
			record_status(status);
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
static void record_withheld_exit(pid_t command)
{
	char path[64], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", command);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	text[length < 0 ? 0 : length] = '\0';
	const char *last = strrchr(text, ' ');
	record_status(last ? atoi(last) : SIGKILL);
}

static int open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* The agent's words since the last look; it says them by the memory, and this only wakes us. */
static void hear(int poke)
{
	char bytes[512];
	while (read(poke, bytes, sizeof bytes) == sizeof bytes)
		;
}

/*
 * An ended session waits so long for an agent to come and ask how it ended: as long as an agent remembers one. The controller has given it up long
 * before (agent.lostAfter, while the lease still ran). `make REMEMBER_SECONDS=…`, for tests.
 */
#ifndef REMEMBER_SECONDS
#define REMEMBER_SECONDS 600
#endif
#define REMEMBER_NS (REMEMBER_SECONDS * 1000000000ull)

/* Nanoseconds until the lease is over; ends the session when it is, and us when nobody has asked for it since. */
static uint64_t watch_lease(const struct request *request)
{
	uint64_t lease = __atomic_load_n(&shared()->asked.lease, __ATOMIC_ACQUIRE), now = nanoseconds(CLOCK_BOOTTIME);
	if (lease == 0)
		return UINT64_MAX;
	if (now < lease)
		return lease - now;
	if (now >= lease + REMEMBER_NS)
		_exit(0);
	if (!(shared()->told.flags & LEASE_OVER)) {
		tell(LEASE_OVER);
		kill_session(request);
	}
	return lease + REMEMBER_NS - now;
}

static const struct timespec *earlier(struct timespec *at, uint64_t ns, bool withheld)
{
	static const uint64_t withheld_after = 200u * 1000 * 1000;
	if (withheld && ns > withheld_after)
		ns = withheld_after;
	*at = (struct timespec){ .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
	return ns == UINT64_MAX ? NULL : at;
}

enum watched { TARGET, SESSION, POKE, STARTER, PUMP };

/*
 * Outside the container, the session's cgroup and the agent's: keeps the PTY master, the output and the exit status safe, whatever becomes of
 * the agent. A container that shares its pid namespace with others can end without its session: the pidfd tells.
 */
void supervise(const struct request *request, pid_t inner, const volatile pid_t *command)
{
	sigset_t none;
	struct timespec timeout;
	struct sigaction action = { .sa_handler = ignore_signal };
	struct pollfd watched[PUMP + 3] = {
		[TARGET] = { .fd = request->pidfd, .events = POLLIN }, [SESSION] = { .fd = NO_FD, .events = POLLIN },
		[POKE] = { .fd = request->poke, .events = POLLIN }, [STARTER] = { .fd = request->status },
	};
	bool dead = false;
	sigemptyset(&none);
	sigaction(SIGCHLD, &action, NULL);
	fcntl(request->poke, F_SETFL, O_RDONLY | O_NONBLOCK);
	let_go(request);
	for (;;) {
		reap(inner);
		bool exited = shared()->told.flags & EXITED;
		if (watched[SESSION].fd == NO_FD && *command != 0 && !dead) {
			if (*command < 0)
				fail("fork", -*command, "clone");
			shared()->told.command = (uint32_t)*command;
			watched[SESSION].fd = open_pidfd(*command);
			say("started %d", *command);
		}
		int pumped = pump_events(watched + PUMP);
		const struct timespec *until = earlier(&timeout, watch_lease(request), dead && !exited);
		int ready = ppoll(watched, (nfds_t)(PUMP + pumped), until, &none);
		if (dead && !exited && ready == 0) {
			reap(inner);
			record_withheld_exit(*command);
		}
		if (ready < 0)
			continue;
		if (watched[POKE].revents)
			hear(request->poke);
		if (watched[TARGET].fd >= 0 && watched[TARGET].revents) {
			tell(TARGET_EXITED);
			kill_session(request);
			watched[TARGET].fd = -1;
		}
		if (watched[SESSION].fd >= 0 && watched[SESSION].revents) {
			dead = true;
			watched[SESSION].fd = -2;
		}
		if (watched[STARTER].revents) {
			/* A session without a lease ends with whoever started it. */
			if (__atomic_load_n(&shared()->asked.lease, __ATOMIC_ACQUIRE) == 0) {
				kill_session(request);
				_exit(0);
			}
			watched[STARTER].fd = -1;
		}
		pump();
	}
}
