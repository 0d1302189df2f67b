/*
 * A process of a container, for debuggers to look at: it spends nearly all its time deep in a function with a name. Of what is called from
 * there musl, as packaged, has no frames that one could unwind.
 */
#include <time.h>

static volatile long turns;

__attribute__((noinline)) static void deep_in_the_workload(void)
{
	struct timespec pause = { 0, 1000000 };

	for (;;) {
		for (long step = 0; step < 50000000; step++)
			turns++;
		nanosleep(&pause, 0);
	}
}

__attribute__((noinline)) static void middle(void)
{
	deep_in_the_workload();
	turns++;
}

int main(void)
{
	middle();
	return 0;
}
