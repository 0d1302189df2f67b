/* A process of a container, for debuggers to look at: it spends its time deep in a function with a name. */
#include <time.h>

static volatile long turns;

__attribute__((noinline)) static void deep_in_the_workload(void)
{
	struct timespec pause = { 0, 20000000 };

	for (;;) {
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
