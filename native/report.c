#define _GNU_SOURCE
#include "enter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* One write of at most this many bytes is whole on a pipe (PIPE_BUF). */
#define LINE_BYTES 1024

static int status_fd = NO_FD;

void report_to(int fd)
{
	status_fd = fd;
}

static void send_line(char *line, int length)
{
	if (length > LINE_BYTES - 2)
		length = LINE_BYTES - 2;
	for (int i = 0; i < length; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[length++] = '\n';
	/* The agent may be gone: there is nobody else to tell. */
	if (write(status_fd, line, (size_t)length) < 0)
		return;
}

void say(const char *format, ...)
{
	char line[LINE_BYTES];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	send_line(line, length);
}

void fail(const char *step, int error, const char *format, ...)
{
	char line[LINE_BYTES];
	va_list arguments;
	int length = snprintf(line, sizeof line, "error %s %d ", step, error);
	va_start(arguments, format);
	length += vsnprintf(line + length, sizeof line - (size_t)length, format, arguments);
	va_end(arguments);
	send_line(line, length);
	_exit(125);
}
