#define _GNU_SOURCE
#include "enter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long long number(const char *name, const char *text, int base)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, base);
	if (errno != 0 || end == text || *end != '\0')
		fail("arguments", EINVAL, "%s=%s is no number", name, text);
	return value;
}

struct field {
	const char *name;
	int base;
	void *at;
	enum { FD, ID, FLAG, LONG, MASK, TEXT } type;
};

static void store(const struct field *field, const char *text)
{
	switch (field->type) {
	case FD: *(int *)field->at = (int)number(field->name, text, 10); break;
	case ID: *(unsigned *)field->at = (unsigned)number(field->name, text, 10); break;
	case FLAG: *(bool *)field->at = number(field->name, text, 10) != 0; break;
	case LONG: *(unsigned long *)field->at = (unsigned long)number(field->name, text, 16); break;
	case MASK: *(uint64_t *)field->at = number(field->name, text, 16); break;
	case TEXT: *(const char **)field->at = text; break;
	}
}

static int split(const char *name, char *text, int limit, unsigned *into)
{
	int count = 0;
	for (char *part = strtok(text, ","); part; part = strtok(NULL, ",")) {
		if (count == limit)
			fail("arguments", E2BIG, "%s has more than %d entries", name, limit);
		into[count++] = (unsigned)number(name, part, 10);
	}
	return count;
}

/* RESOURCE:SOFT:HARD,… as setrlimit counts them. */
static void split_limits(struct request *request, char *text)
{
	for (char *part = strtok(text, ","); part; part = strtok(NULL, ",")) {
		struct limit limit;
		int end = 0;
		if (sscanf(part, "%u:%" SCNu64 ":%" SCNu64 "%n", &limit.resource, &limit.soft, &limit.hard, &end) != 3 || part[end] != '\0')
			fail("arguments", EINVAL, "rlimits=%s is none", part);
		if (request->nrlimits == MAX_RLIMITS)
			fail("arguments", E2BIG, "rlimits has more than %d entries", MAX_RLIMITS);
		request->rlimits[request->nrlimits++] = limit;
	}
}

/* `name=value`…, then `--` and the command. The status pipe must come first, so that all else can be complained about. */
void parse_arguments(struct request *request, char **arguments)
{
	*request = (struct request){
		.status = NO_FD, .gate = NO_FD, .pidfd = NO_FD, .toolbox = NO_FD, .devpts = NO_FD,
		.ring = NO_FD, .wake = NO_FD, .poke = NO_FD, .output = NO_FD, .errors = NO_FD, .input = NO_FD,
		.master = NO_FD, .cgroup = NO_FD, .hostcgroup = NO_FD, .cwd = "/",
		.label = "", .labelfile = "",
	};
	struct field fields[] = {
		{ "status", 10, &request->status, FD }, { "gate", 10, &request->gate, FD },
		{ "pidfd", 10, &request->pidfd, FD }, { "toolbox", 10, &request->toolbox, FD },
		{ "ring", 10, &request->ring, FD }, { "wake", 10, &request->wake, FD },
		{ "poke", 10, &request->poke, FD }, { "output", 10, &request->output, FD },
		{ "errors", 10, &request->errors, FD }, { "input", 10, &request->input, FD },
		{ "devpts", 10, &request->devpts, FD }, { "master", 10, &request->master, FD },
		{ "cgroup", 10, &request->cgroup, FD }, { "hostcgroup", 10, &request->hostcgroup, FD },
		{ "namespaces", 16, &request->namespaces, LONG }, { "userns", 10, &request->userns, FLAG },
		{ "tty", 10, &request->tty, FLAG }, { "nonewprivs", 10, &request->nonewprivs, FLAG },
		{ "created", 10, &request->created, FLAG }, { "createddev", 10, &request->createddev, FLAG },
		{ "device", 16, &request->device, MASK }, { "uid", 10, &request->uid, ID },
		{ "gid", 10, &request->gid, ID }, { "bounding", 16, &request->bounding, MASK },
		{ "permitted", 16, &request->permitted, MASK }, { "ambient", 16, &request->ambient, MASK },
		{ "cwd", 0, &request->cwd, TEXT }, { "label", 0, &request->label, TEXT },
		{ "labelfile", 0, &request->labelfile, TEXT },
	};
	for (; *arguments; arguments++) {
		if (strcmp(*arguments, "--") == 0) {
			request->command = arguments + 1;
			return;
		}
		char *value = strchr(*arguments, '=');
		if (!value)
			fail("arguments", EINVAL, "%s has no value", *arguments);
		*value++ = '\0';
		bool known = false;
		for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
			if (strcmp(fields[i].name, *arguments) != 0)
				continue;
			store(&fields[i], value);
			known = true;
		}
		if (strcmp(*arguments, "status") == 0)
			report_to(request->status);
		else if (strcmp(*arguments, "groups") == 0)
			request->ngroups = split("groups", value, MAX_GROUPS, request->groups);
		else if (strcmp(*arguments, "joins") == 0)
			request->njoins = split("joins", value, MAX_JOINS, (unsigned *)request->joins);
		else if (strcmp(*arguments, "filters") == 0)
			request->nfilters = split("filters", value, MAX_FILTERS, (unsigned *)request->filters);
		else if (strcmp(*arguments, "rlimits") == 0)
			split_limits(request, value);
		else if (strcmp(*arguments, "homes") == 0)
			request->nhomes = split("homes", value, MAX_JOINS, (unsigned *)request->homes);
		else if (strcmp(*arguments, "waker") == 0 || strcmp(*arguments, "poker") == 0)
			continue; /* the agent's ends of the pipes: only held, for the next agent */
		else if (!known)
			fail("arguments", EINVAL, "%s is not known", *arguments);
	}
}
