/* crashcart-enter: what its parts say to each other. docs/enter.md tells the order of steps and why. */
#ifndef CRASHCART_ENTER_H
#define CRASHCART_ENTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MAX_GROUPS 256
#define MAX_JOINS 16
#define MAX_FILTERS 2
#define MAX_RLIMITS 16
#define NO_FD (-1)

struct limit {
	unsigned resource;
	uint64_t soft, hard;
};

/*
 * `make -C native WITHOUT=DROP_CAPABILITIES …` builds a program with one defence off, for the attack suite: it has to notice. Otherwise
 * nothing of this is left after compilation.
 */
#ifndef WITHOUT
#define WITHOUT NOTHING
#endif
enum defence {
	NOTHING, UNDUMPABLE, LATE_FORK, NO_SYMLINKS, RECHECK, CLOSE_DESCRIPTORS, PRIVATE_MOUNTS, SLAVE_MOUNTS, OWN_FILES, FILTERS, GATE,
	DROP_CAPABILITIES, DROP_BOUNDING, DROP_GROUPS, OWN_CGROUP, DEATH_SIGNAL, OWN_VOICE,
};
#define guarded(what) (WITHOUT != (what))

/* Everything the agent says, one field an argument `name=value`. Descriptors are inherited, NO_FD when not given. */
struct request {
	int status;      /* pipe: lines for the agent */
	int gate;        /* pipe: one byte lets the command start, end of file ends it */
	int pidfd;       /* the container's first process */
	int toolbox;     /* detached clone of the toolbox; NO_FD: it stands in the container already */
	int devpts;      /* detached devpts instance that the session's terminal is of */
	int ring;        /* session.h; its maker holds it too */
	int wake;        /* pipe: a byte tells the agent to look into it */
	int poke;        /* pipe: a byte tells the supervisor to */
	int master;      /* PTY master, kept open by the supervisor only */
	int output;      /* without a terminal: pipes from the command's standard output and error, and to its input */
	int errors;
	int input;
	int cgroup;      /* directory of the session's cgroup in the v2 hierarchy */
	int hostcgroup;  /* the host's cgroup namespace, when the agent has one of its own */
	int joins[MAX_JOINS]; /* the session's cgroups in v1 hierarchies */
	int njoins;
	int home;        /* of the supervisors, outside of the agent's: in the v2 hierarchy */
	int homes[MAX_JOINS]; /* and in v1 hierarchies */
	int nhomes;
	uint64_t namespaces; /* CLONE_NEW* flags to join, without CLONE_NEWUSER */
	bool userns;
	bool tty;
	bool nonewprivs;
	bool created;    /* remove: the directory was made by us */
	bool createddev; /* remove: and so was /dev */
	uint64_t device; /* st_dev of the toolbox that an agent has put into the container: remove, where no descriptor of the mount is left; run, to know it */
	uid_t uid;
	gid_t gid;
	gid_t groups[MAX_GROUPS];
	int ngroups;
	uint64_t bounding;
	uint64_t permitted;
	uint64_t ambient;
	int filters[MAX_FILTERS]; /* seccomp programs, struct sock_filter[] */
	int nfilters;
	struct limit rlimits[MAX_RLIMITS];
	int nrlimits;
	const char *label;     /* of the security module, empty: none */
	const char *labelfile; /* below /proc: where it is written */
	const char *cwd;
	char **command;
};

/* report.c: `error STEP ERRNO DETAIL` on the status pipe, then exit 125. */
void report_to(int fd);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fail(const char *step, int error, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));
#define check(step, condition, ...) do { if (!(condition)) fail(step, errno, __VA_ARGS__); } while (0)

/* arguments.c */
void parse_arguments(struct request *request, char **arguments);

/* paths.c: every name is looked up from a descriptor, no link is ever followed. */
int open_beneath(int directory, const char *name, uint64_t flags);
int make_directory(int directory, const char *name, bool *created);
int remove_directory(int directory, const char *name);
bool same_file(int one, int other);
bool is_empty(int directory);
int cover(int directory, const char *const *omit, const char *const *make);

/* place.c */
void require_free(int dev, int toolbox, uint64_t standing);
void place_in_session(const struct request *request);
void place_in_container(const struct request *request);
void remove_from_container(const struct request *request);

/* privileges.c */
void join_cgroups(const int *cgroups, int count);
void join_namespaces(const struct request *request);
void drop_privileges(const struct request *request);
void drop_the_rest(const struct request *request);

/* confine.c */
void load_confinement(const struct request *request);
void limit_resources(const struct request *request);
void take_label(const struct request *request);
void install_filters(const struct request *request);

/* command.c */
void run_command(const struct request *request) __attribute__((noreturn));

/* pump.c: between the command's streams and the session's memory */
struct pollfd;
struct session;
void open_session(const struct request *request);
struct session *shared(void);
void tell(uint32_t flags);
int pump_events(struct pollfd *into);
void pump(void);
uint64_t nanoseconds(int clock);

/* supervise.c */
void supervise(const struct request *request, pid_t inner, const volatile pid_t *command) __attribute__((noreturn));

#endif
