#define _GNU_SOURCE
#include "enter.h"

#include <errno.h>
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
	void *at;
	enum { FD, ID, FLAG, MASK, TEXT, IDS, LIMITS, HELD } type;
	int *count; /* of a list, which has at most so many: */
	int most;
};

/* The name of an argument is that of its place. */
#define ONE(name, type) { #name, &request->name, type, NULL, 0 }
#define MANY(name, type, most) { #name, request->name, type, &request->n##name, most }

/* RESOURCE:SOFT:HARD as setrlimit counts them. */
static struct limit limit_of(const char *name, char *text)
{
	char *soft = strchr(text, ':'), *hard = soft ? strchr(soft + 1, ':') : NULL;
	if (!hard)
		fail("arguments", EINVAL, "%s=%s is none", name, text);
	*soft++ = *hard++ = '\0';
	return (struct limit){ (unsigned)number(name, text, 10), number(name, soft, 10), number(name, hard, 10) };
}

static void store_list(const struct field *field, char *text)
{
	*field->count = 0;
	for (char *part = strtok(text, ","); part; part = strtok(NULL, ",")) {
		int at = (*field->count)++;
		if (at == field->most)
			fail("arguments", E2BIG, "%s has more than %d entries", field->name, field->most);
		if (field->type == LIMITS)
			((struct limit *)field->at)[at] = limit_of(field->name, part);
		else
			((unsigned *)field->at)[at] = (unsigned)number(field->name, part, 10);
	}
}

static void store(const struct field *field, char *text)
{
	switch (field->type) {
	case FD:
	case ID: *(unsigned *)field->at = (unsigned)number(field->name, text, 10); break;
	case FLAG: *(bool *)field->at = number(field->name, text, 10) != 0; break;
	case MASK: *(uint64_t *)field->at = number(field->name, text, 16); break;
	case TEXT: *(const char **)field->at = text; break;
	case IDS:
	case LIMITS: store_list(field, text); break;
	case HELD: break;
	}
}

static const struct field *find(const struct field *fields, const char *name)
{
	for (; fields->name; fields++)
		if (strcmp(fields->name, name) == 0)
			return fields;
	fail("arguments", EINVAL, "%s is not known", name);
}

/* `name=value`…, then `--` and the command. The status pipe must come first, so that all else can be complained about. */
void parse_arguments(struct request *request, char **arguments)
{
	*request = (struct request){ .cwd = "/", .label = "", .labelfile = "" };
	const struct field fields[] = {
		ONE(status, FD), ONE(gate, FD), ONE(pidfd, FD), ONE(toolbox, FD), ONE(devpts, FD), ONE(ring, FD), ONE(wake, FD), ONE(poke, FD),
		ONE(master, FD), ONE(output, FD), ONE(errors, FD), ONE(input, FD), ONE(cgroup, FD), ONE(hostcgroup, FD), ONE(home, FD),
		ONE(namespaces, MASK), ONE(device, MASK), ONE(bounding, MASK), ONE(permitted, MASK), ONE(ambient, MASK), ONE(uid, ID), ONE(gid, ID),
		ONE(userns, FLAG), ONE(tty, FLAG), ONE(nonewprivs, FLAG), ONE(created, FLAG), ONE(createddev, FLAG),
		ONE(cwd, TEXT), ONE(label, TEXT), ONE(labelfile, TEXT),
		MANY(groups, IDS, MAX_GROUPS), MANY(joins, IDS, MAX_JOINS), MANY(homes, IDS, MAX_JOINS), MANY(filters, IDS, MAX_FILTERS),
		MANY(rlimits, LIMITS, MAX_RLIMITS),
		/* The agent's ends of the pipes: only held, for the next agent. */
		{ "waker", NULL, HELD, NULL, 0 }, { "poker", NULL, HELD, NULL, 0 },
		{ NULL, NULL, HELD, NULL, 0 },
	};
	for (const struct field *field = fields; field->name; field++)
		if (field->type == FD)
			*(int *)field->at = NO_FD;
	for (; *arguments; arguments++) {
		if (strcmp(*arguments, "--") == 0) {
			request->command = arguments + 1;
			return;
		}
		char *value = strchr(*arguments, '=');
		if (!value)
			fail("arguments", EINVAL, "%s has no value", *arguments);
		*value++ = '\0';
		const struct field *field = find(fields, *arguments);
		store(field, value);
		if (field->at == &request->status)
			report_to(request->status);
	}
}
