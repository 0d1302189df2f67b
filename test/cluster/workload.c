/*
 * The program of the test image localhost/distroless:1. It waits until SIGTERM and exits with 0.
 *   workload                   silent
 *   workload SECONDS TEXT      prints TEXT to standard output every SECONDS
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void quit(int signal) {
	(void)signal;
	_exit(0);
}

int main(int argc, char **argv) {
	signal(SIGINT, quit);
	signal(SIGTERM, quit);
	if (argc != 3)
		for (;;)
			pause();
	unsigned seconds = (unsigned)strtoul(argv[1], 0, 10);
	for (;;) {
		puts(argv[2]);
		fflush(stdout);
		sleep(seconds ? seconds : 1);
	}
}
