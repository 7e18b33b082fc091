/*
 * The only program of the container image: it counts, and can be asked for its count.
 *
 *   counter [MEM_MIB]
 *
 * It counts 20 times a second and says the count once a second. On TCP port 7000 it answers each line with
 * `count N NONCE`. The nonce is drawn at the start, so that a process which lived on can be told from one that was
 * started again. MEM_MIB of memory are filled with what doesn't compress, and written to all the time, page by page.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PER_SECOND = 20,
	ROUND_MS = 1000 / PER_SECOND,
	PORT = 7000,
	PAGE = 4096,
	PAGES_PER_ROUND = 64,
	MAX_CLIENTS = 32,
};

static unsigned long long count;
static uint64_t nonce;

/* As process 1 of a container it would otherwise not notice. */
static void end(int signal)
{
	(void)signal;
	_exit(0);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void fill(void *area, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t got = getrandom((char *)area + done, bytes - done, 0);

		if (got < 0 && errno != EINTR)
			fail("getrandom");
		if (got > 0)
			done += got;
	}
}

static void *hold(size_t bytes)
{
	void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		fail("memory");
	fill(area, bytes);
	return area;
}

static int listen_tcp(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&any, sizeof any) || listen(fd, 8))
		fail("listen");
	return fd;
}

/*
 * Milliseconds until the next round; 0 if it is due, and then the one after it is a whole round from now. Without a
 * timer of the kernel's: one that has run out while the process was frozen is not set again when it is restored.
 */
static int until_round(void)
{
	static long long due;
	struct timespec clock;
	long long now;

	clock_gettime(CLOCK_MONOTONIC, &clock);
	now = clock.tv_sec * 1000LL + clock.tv_nsec / 1000000;
	/* On another host the clock may be anywhere. */
	if (due - now > ROUND_MS)
		due = now;
	if (due > now)
		return due - now;
	due = now + ROUND_MS;
	return 0;
}

/* Answer every line. Returns false when the client has gone. */
static int serve(int fd)
{
	char asked[512], reply[64];
	ssize_t got = read(fd, asked, sizeof asked);

	if (got <= 0)
		return got < 0 && (errno == EAGAIN || errno == EINTR);
	for (ssize_t i = 0; i < got; i++) {
		if (asked[i] != '\n')
			continue;
		int length = snprintf(reply, sizeof reply, "count %llu %016llx\n", count, (unsigned long long)nonce);
		if (send(fd, reply, length, MSG_NOSIGNAL) != length)
			return 0;
	}
	return 1;
}

int main(int argc, char **argv)
{
	struct pollfd fds[1 + MAX_CLIENTS];
	size_t bytes = argc > 1 ? strtoul(argv[1], NULL, 10) << 20 : 0, next = 0;
	char *area = NULL;
	int n = 1, wait;

	signal(SIGTERM, end);
	signal(SIGINT, end);
	fill(&nonce, sizeof nonce);
	if (bytes)
		area = hold(bytes);
	fds[0].fd = listen_tcp();
	for (;;) {
		for (int i = 0; i < n; i++)
			fds[i].events = POLLIN;
		wait = until_round();
		if (poll(fds, n, wait) < 0)
			continue;
		/* Rounds missed while it stood still are not made up for. */
		if (wait == 0) {
			if (++count % PER_SECOND == 0) {
				printf("count %llu\n", count);
				fflush(stdout);
			}
			for (int i = 0; area && i < PAGES_PER_ROUND; i++, next = (next + PAGE) % bytes)
				area[next]++;
		}
		for (int i = n - 1; i >= 1; i--)
			if (fds[i].revents && !serve(fds[i].fd)) {
				close(fds[i].fd);
				fds[i] = fds[--n];
			}
		if (fds[0].revents) {
			int client = accept4(fds[0].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

			if (client >= 0 && n < 1 + MAX_CLIENTS) {
				fds[n].revents = 0;
				fds[n++].fd = client;
			} else if (client >= 0) {
				close(client);
			}
		}
	}
}
