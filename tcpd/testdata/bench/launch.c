/*
 * launch ROUNDS CONNECTIONS ARGV0 PROGRAM...
 *
 * Does what inetd does for a nowait service, and what its client does: connect,
 * accept, start PROGRAM with ARGV0 on the connection, read "hi\n", wait. The
 * programs take turns, so many connections each, for so many rounds. Prints for
 * each the microseconds a connection took in every round.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void serve(int l, struct sockaddr_in *a, char *program, char *argv0)
{
	char *argv[] = {argv0, 0}, *env[] = {"PATH=/usr/bin:/bin", 0}, buf[64];
	int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), s, n, status;
	pid_t pid;

	if (connect(c, (struct sockaddr *)a, sizeof *a) || (s = accept4(l, 0, 0, SOCK_CLOEXEC)) < 0) {
		perror("connect");
		exit(1);
	}
	if ((pid = vfork()) == 0) {
		dup2(s, 0);
		dup2(s, 1);
		dup2(s, 2);
		execve(program, argv, env);
		_exit(127);
	}
	close(s);
	n = read(c, buf, sizeof buf);
	if (waitpid(pid, &status, 0) != pid || status || n != 3 || memcmp(buf, "hi\n", 3)) {
		fprintf(stderr, "%s: status %x, %d bytes\n", program, status, n);
		exit(1);
	}
	close(c);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rounds, n, np = argc - 4;
	double *took;

	if (argc < 5)
		return 2;
	rounds = atoi(argv[1]);
	n = atoi(argv[2]);
	took = calloc(rounds * np, sizeof *took);
	if (bind(l, (struct sockaddr *)&a, len) || listen(l, 10) || getsockname(l, (struct sockaddr *)&a, &len)) {
		perror("listen");
		return 1;
	}
	for (int r = 0; r < rounds; r++)
		for (int p = 0; p < np; p++) {
			double start = now();
			for (int i = 0; i < n; i++)
				serve(l, &a, argv[4 + p], argv[3]);
			took[p * rounds + r] = (now() - start) / n;
		}
	for (int p = 0; p < np; p++) {
		printf("%s", argv[4 + p]);
		for (int r = 0; r < rounds; r++)
			printf(" %.1f", took[p * rounds + r]);
		printf("\n");
	}
	return 0;
}
