/*
 * The memory that a supervisor shares with its agent: a memfd, so that the next agent finds all of it where the last one left it. Each page
 * has one writer. src/node-agent/session/memory.ts has the same numbers.
 */
#ifndef CRASHCART_SESSION_H
#define CRASHCART_SESSION_H

#include <stdint.h>

#define PAGE 4096
/* A reader that lags this far behind stops the command, if the agent says so (KEEP). */
#define OUTPUT_BYTES (1024 * 1024)
/* What a command leaves in its pipes when it ends finds room here, so that nothing waits for a reader then. */
#define REST_BYTES (256 * 1024)
#define RING_BYTES (OUTPUT_BYTES + REST_BYTES)
#define INPUT_BYTES (128 * 1024)
/* stdout and stderr in their order: a run is `position << 8 | channel`. */
#define RUNS 4096

/* What the other side writes, or reads as soon as it is there. */
#define load(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define store(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELEASE)

enum told_flags { OUTPUT_ENDED = 1, EXITED = 2, TARGET_EXITED = 4, INPUT_BROKEN = 8, LEASE_OVER = 16 };
enum asked_flags { KEEP = 1, INPUT_END = 2, RELEASED = 4 };

/* Positions count bytes since the session's start. */
struct told {
	uint64_t head;       /* output that came */
	uint64_t tail;       /* the oldest byte that is whole; published before it is written over */
	uint64_t runs;       /* begun so far; the last RUNS of them are in the table */
	uint64_t input;      /* input handed to the command */
	uint64_t active;     /* CLOCK_BOOTTIME, ns: the last byte in either direction */
	uint64_t exited_at;  /* CLOCK_REALTIME, ns */
	uint32_t flags;
	uint32_t code;
	uint32_t signal;
	uint32_t command;    /* its pid */
};

struct asked {
	uint64_t keep;       /* with KEEP: output from here on is not written over */
	uint64_t input;      /* input that is in the ring */
	uint64_t lease;      /* CLOCK_BOOTTIME, ns: until then the session may run, whether there is an agent or not. 0: as long as its starter */
	uint32_t flags;
};

struct session {
	union { struct told told; unsigned char told_page[PAGE]; };
	union { struct asked asked; unsigned char asked_page[PAGE]; };
	uint64_t run[RUNS];
	unsigned char output[RING_BYTES];
	unsigned char input[INPUT_BYTES];
};

#endif
