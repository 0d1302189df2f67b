#include "enter.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* The session's streams belong to the session: a copy here would keep them open after its end. Something of our own takes their places. */
static void let_go(const struct request *request)
{
	for (int fd = 0; fd <= 2; fd++)
		check("descriptors", dup2(request->poke, fd) == fd, "dup2(%d)", fd);
	close(request->gate);
	/* The agent lays them out so: from devpts on, all is the inner half's alone. */
	check("descriptors", syscall(SYS_close_range, request->devpts, ~0U, 0) == 0, "close_range(%d)", request->devpts);
}

static void kill_session(const struct request *request)
{
	if (write_to(request->cgroup, "cgroup.kill", "1"))
		return;
	/* Before Linux 5.14, and without cgroup v2: the command at once, unless its pid may be another's; what it left by the agent, one by one. */
	if (session->told.command && !(session->told.flags & EXITED))
		kill((pid_t)session->told.command, SIGKILL);
}

static void record(int status)
{
	struct told *told = &session->told;
	if (told->flags & EXITED)
		return;
	told->signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0;
	told->code = told->signal ? 128 + told->signal : (uint32_t)WEXITSTATUS(status);
	told->exited_at = nanoseconds(CLOCK_REALTIME);
	tell(EXITED);
	/* Nobody was told of a session: the agent did not let the command run, or has gone before it could. */
	if (!(load(session->asked.flags) & RELEASED))
		_exit(0);
}

static int open_pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	check("pidfd", fd >= 0, "pidfd_open"); /* nothing else tells us of its end */
	return fd;
}

/* The inner half has ended. Only now is the command spoken of, and only by us. */
static pid_t meet_command(pid_t inner)
{
	int status;
	check("inner", waitpid(inner, &status, __WALL) == inner, "waitpid");
	if (WIFSIGNALED(status))
		fail("inner", EINTR, "the entering process was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == FAILED)
		_exit(FAILED); /* it has said why */
	if (WEXITSTATUS(status) != 0)
		fail("fork", WEXITSTATUS(status), "clone");
	say("started %u", session->told.command);
	return (pid_t)session->told.command;
}

/*
 * A container that holds CAP_SYS_PTRACE can trace the command, and then its end is the tracer's to learn first, if it ever cares to. The
 * process is dead all the same, and its status stands in /proc.
 */
static void record_withheld(pid_t command)
{
	char path[64], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", command);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	text[length < 0 ? 0 : length] = '\0';
	const char *last = strrchr(text, ' ');
	record(last ? atoi(last) : SIGKILL);
}

/*
 * An ended session waits so long for an agent to come and ask how it ended: as long as an agent remembers one. The controller has given it up long
 * before (agent.lostAfter, while the lease still ran). `make REMEMBER_SECONDS=…`, for tests.
 */
#ifndef REMEMBER_SECONDS
#define REMEMBER_SECONDS 600
#endif
#define REMEMBER_NS (REMEMBER_SECONDS * 1000000000ull)

#define NS_PER_MS 1000000ull
#define LONGEST_MS (3600 * 1000)
#define WITHHELD_MS 200

/* Milliseconds until the lease is over (-1: there is none); ends the session when it is, and us when nobody has asked for it since. */
static int watch_lease(const struct request *request)
{
	uint64_t lease = load(session->asked.lease), now = nanoseconds(CLOCK_BOOTTIME);
	if (lease == 0)
		return -1;
	if (now >= lease && !(session->told.flags & LEASE_OVER)) {
		tell(LEASE_OVER);
		kill_session(request);
	}
	if (now >= lease + REMEMBER_NS)
		_exit(0);
	uint64_t left = ((now < lease ? lease : lease + REMEMBER_NS) - now) / NS_PER_MS + 1;
	return left < LONGEST_MS ? (int)left : LONGEST_MS;
}

enum watched { TARGET, PROCESS, POKE, STARTER, PUMP };

/*
 * Outside the container, the session's cgroup and the agent's: keeps the PTY master, the output and the exit status safe, whatever becomes of
 * the agent. A container that shares its pid namespace with others can end without its session: the pidfd tells.
 */
void supervise(const struct request *request, pid_t inner)
{
	let_go(request);
	pid_t command = 0;
	bool dead = false;
	struct pollfd watched[PUMP + PUMP_EVENTS] = {
		[TARGET] = { .fd = request->pidfd, .events = POLLIN }, [PROCESS] = { .fd = open_pidfd(inner), .events = POLLIN },
		[POKE] = { .fd = request->poke, .events = POLLIN }, [STARTER] = { .fd = STATUS_FD },
	};
	for (;;) {
		int status, timeout = watch_lease(request);
		if (dead && waitpid(command, &status, WNOHANG | __WALL) == command)
			record(status);
		bool withheld = dead && !(session->told.flags & EXITED);
		if (withheld && (timeout < 0 || timeout > WITHHELD_MS))
			timeout = WITHHELD_MS;
		pump_events(watched + PUMP);
		int ready = poll(watched, PUMP + PUMP_EVENTS, timeout);
		if (ready < 0)
			continue;
		if (ready == 0 && withheld)
			record_withheld(command);
		if (watched[PROCESS].revents) {
			dead = command != 0;
			command = dead ? command : meet_command(inner);
			watched[PROCESS].fd = dead ? NO_FD : open_pidfd(command);
		}
		/* The agent speaks by the memory; this has only woken us. */
		for (char words[512]; watched[POKE].revents && read(request->poke, words, sizeof words) == sizeof words;)
			;
		if (watched[TARGET].revents) {
			tell(TARGET_EXITED);
			kill_session(request);
			watched[TARGET].fd = NO_FD;
		}
		if (watched[STARTER].revents) {
			/* A session without a lease ends with whoever started it. */
			if (load(session->asked.lease) == 0) {
				kill_session(request);
				_exit(0);
			}
			watched[STARTER].fd = NO_FD;
		}
		pump();
	}
}
