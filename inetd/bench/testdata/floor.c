/*
 * What a connection costs at least: accept4, vfork, execve and nothing else.
 * No session, no identity, no limits, no log; the kernel reaps. With -s each
 * server gets a session of its own, as every inetd gives it: part of the price
 * is the kernel's, which makes a scheduling group for it.
 *
 * floor [-s] ADDRESS PORT PROGRAM ARGV0 [ARG...]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;

int
main(int argc, char **argv)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int s, c, on = 1, session = 0;

	if (argc > 1 && strcmp(argv[1], "-s") == 0) {
		session = 1;
		argc--, argv++;
	}
	if (argc < 5 || inet_pton(AF_INET, argv[1], &sin.sin_addr) != 1)
		return 2;
	sin.sin_port = htons(atoi(argv[2]));
	s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(s, (struct sockaddr *)&sin, sizeof sin) || listen(s, 128)) {
		perror("floor");
		return 1;
	}
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		c = accept4(s, NULL, NULL, SOCK_CLOEXEC);
		if (c < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			perror("floor: accept4");
			return 1;
		}
		if (vfork() == 0) {
			if (session)
				setsid();
			dup2(c, 0);
			dup2(c, 1);
			dup2(c, 2);
			execve(argv[3], argv + 4, environ);
			_exit(127);
		}
		close(c);
	}
}
