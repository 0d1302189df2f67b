#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The descriptor's number is an argument, all else stands behind it. The agent keeps to the bounds; whatever did not would be undefined here. */
void read_request(struct request *request, int fd)
{
	check("arguments", pread(fd, request, sizeof *request, 0) == (ssize_t)sizeof *request, "reading the request");
	if (request->ngroups > MAX_GROUPS || request->nrlimits > MAX_RLIMITS)
		fail("arguments", E2BIG, "%u groups, %u resource limits", request->ngroups, request->nrlimits);
	request->cwd[sizeof request->cwd - 1] = request->label[sizeof request->label - 1] = request->labelfile[sizeof request->labelfile - 1] = '\0';
}

/* One write of at most this many bytes is whole on a pipe (PIPE_BUF). */
#define LINE_BYTES 1024

void say(const char *format, ...)
{
	char line[LINE_BYTES];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (length > LINE_BYTES - 1)
		length = LINE_BYTES - 1;
	for (char *at = line; (at = strchr(at, '\n'));)
		*at = ' ';
	line[length] = '\n';
	/* The agent may be gone: there is nobody else to tell. */
	if (write(STATUS_FD, line, (size_t)length + 1) < 0)
		return;
}

bool write_to(int directory, const char *name, const char *text)
{
	int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t length = (ssize_t)strlen(text);
	bool whole = write(fd, text, (size_t)length) == length;
	close(fd);
	return whole;
}
