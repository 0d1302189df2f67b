#include "enter.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

extern char **environ;

#define NOT_EXECUTABLE 126
#define NOT_FOUND 127

/* Tries one file; returns the errno. */
static int try(const char *path, char **command)
{
	execve(path, command, environ);
	struct stat file;
	int error = errno;
	if (stat(path, &file) < 0)
		return error;
	/* ENOENT of a file that is there speaks of its interpreter or loader; a directory is "not executable", not "absent". */
	if (error == ENOENT)
		return ELIBBAD;
	return error == EACCES && S_ISDIR(file.st_mode) ? EISDIR : error;
}

static const char *reason(int error)
{
	switch (error) {
	case ELIBBAD: return "its interpreter or loader is not in this container";
	case ENOEXEC: return "cannot be executed: not a program for this machine, and no #! line";
	case EISDIR: return "is a directory";
	case 0: return "command not found";
	default: return strerrordesc_np(error);
	}
}

/* Where a shell would say it: on the command's own standard error, in its words. */
static void __attribute__((noreturn)) refuse(const char *name, int error)
{
	dprintf(STDERR_FILENO, "crashcart: %.400s: %s\n", name, reason(error));
	_exit(error == 0 || error == ENOENT || error == ENOTDIR || error == ELIBBAD ? NOT_FOUND : NOT_EXECUTABLE);
}

static void __attribute__((noreturn)) execute(char **command)
{
	const char *name = command[0];
	if (strchr(name, '/'))
		refuse(name, try(name, command));
	const char *path = getenv("PATH");
	int worst = 0;
	for (const char *at = path ? path : "", *end; *name && *at; at = *end ? end + 1 : end) {
		char file[PATH_MAX];
		end = strchrnul(at, ':');
		/* An empty or relative entry would mean the working directory: a hostile place. */
		if (*at != '/' || snprintf(file, sizeof file, "%.*s/%s", (int)(end - at), at, name) >= (int)sizeof file)
			continue;
		int error = try(file, command);
		if (error != ENOENT && error != ENOTDIR && error != EISDIR && worst == 0)
			worst = error;
	}
	refuse(name, worst);
}

/* The last process: in the container's pid namespace from its birth, with nothing left to drop. */
void run_command(const struct request *request, char **command)
{
	char byte;
	/* The supervisor is the parent (CLONE_PARENT): a session without one must not live. */
	if (guarded(DEATH_SIGNAL))
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (!guarded(LATE_FORK))
		drop_the_rest(request);
	if (setsid() < 0)
		_exit(FAILED);
	if (request->tty && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		_exit(FAILED);
	/* The agent looks at us from outside first; no byte: it did not like what it saw, or has gone. */
	if (guarded(GATE) && read(GATE_FD, &byte, 1) != 1)
		_exit(FAILED);
	execute(command);
}
