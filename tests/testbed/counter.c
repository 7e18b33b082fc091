/*
 * The counter guest's first and only program.
 *
 * It counts, out loud on the serial line; dirties memory at a chosen rate, and says when what it wrote
 * there isn't there any more; tells the count to whoever asks over TCP; opens the agent's channel, by which the host sees that it is up; and powers
 * off when the power button is pressed. Its settings are on the kernel's command line, see guest.py.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <linux/reboot.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGENT "org.qemu.guest_agent.0"

enum {
	COUNT_MS = 200,
	DIRTY_MS = 20,
	PORT = 7000,
	PAGE = 4096,
	MAX_BUTTONS = 8,
	MAX_CLIENTS = 32,
};

static unsigned long long count;

static char *area;
static size_t area_pages, pages_per_round, next_page;
static uint64_t lap;

static void say(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
}

static void power_off(void)
{
	say("power off\n");
	sync();
	reboot(LINUX_REBOOT_CMD_POWER_OFF);
}

/* The modules' names sort in the order in which they must be loaded. */
static void load_modules(void)
{
	struct dirent **names;
	int n = scandir("/modules", &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char path[300];

		if (names[i]->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/modules/%s", names[i]->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			printf("%s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
}

/* Find "name=value" on the kernel's command line. */
static int setting(const char *name, char *value, size_t size)
{
	char line[4096] = "";
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, line, sizeof line - 1);

	if (fd >= 0)
		close(fd);
	if (got <= 0)
		return 0;
	for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
		size_t length = strlen(name);

		if (!strncmp(word, name, length) && word[length] == '=') {
			snprintf(value, size, "%s", word + length + 1);
			return 1;
		}
	}
	return 0;
}

static size_t number(const char *name)
{
	char value[32];

	return setting(name, value, sizeof value) ? strtoul(value, NULL, 10) : 0;
}

static void busybox(char *const argv[])
{
	pid_t pid = fork();

	if (pid == 0) {
		execv("/bin/busybox", argv);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void set_address(void)
{
	char address[64];

	busybox((char *[]){"busybox", "ip", "link", "set", "lo", "up", NULL});
	if (!setting("vhal.ip", address, sizeof address))
		return;
	busybox((char *[]){"busybox", "ip", "address", "add", address, "dev", "eth0", NULL});
	busybox((char *[]){"busybox", "ip", "link", "set", "eth0", "up", NULL});
}

static void prepare_area(void)
{
	size_t bytes = number("vhal.dirty_mib") << 20;
	size_t per_second = number("vhal.dirty_mib_s") << 20;

	if (!bytes || !per_second)
		return;
	area = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (area == MAP_FAILED) {
		say("no memory to dirty\n");
		area = NULL;
		return;
	}
	area_pages = bytes / PAGE;
	pages_per_round = per_second / PAGE * DIRTY_MS / 1000;
}

static void dirty_some(void)
{
	for (size_t i = 0; i < pages_per_round; i++) {
		volatile uint64_t *page = (uint64_t *)(area + next_page * PAGE);

		if (*page != lap)
			printf("lost a write: page %zu of lap %llu\n", next_page, (unsigned long long)lap);
		*page = lap + 1;
		if (++next_page == area_pages) {
			next_page = 0;
			lap++;
		}
	}
	fflush(stdout);
}

static int ticker(int ms)
{
	struct itimerspec every = {
		.it_interval = {.tv_nsec = ms * 1000000L},
		.it_value = {.tv_nsec = ms * 1000000L},
	};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	timerfd_settime(fd, 0, &every, NULL);
	return fd;
}

/* Rounds missed while the guest stood still are not made up for. */
static int ticked(int fd)
{
	uint64_t rounds;

	return read(fd, &rounds, sizeof rounds) == sizeof rounds;
}

static int listen_tcp(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&any, sizeof any) || listen(fd, 8))
		say("cannot listen\n");
	return fd;
}

static int open_buttons(int *fds)
{
	int n = 0;

	for (int i = 0; i < MAX_BUTTONS; i++) {
		char path[32];

		snprintf(path, sizeof path, "/dev/input/event%d", i);
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0)
			fds[n++] = fd;
	}
	return n;
}

static void read_button(int fd)
{
	struct input_event event;

	while (read(fd, &event, sizeof event) == sizeof event)
		if (event.type == EV_KEY && event.code == KEY_POWER && event.value)
			power_off();
}

/* Answer every line with the count. Returns false when the client has gone. */
static int serve(int fd)
{
	char asked[512], reply[40];
	ssize_t got = read(fd, asked, sizeof asked);

	if (got <= 0)
		return got < 0 && (errno == EAGAIN || errno == EINTR);
	for (ssize_t i = 0; i < got; i++) {
		if (asked[i] != '\n')
			continue;
		int length = snprintf(reply, sizeof reply, "count %llu\n", count);
		if (send(fd, reply, length, MSG_NOSIGNAL) != length)
			return 0;
	}
	return 1;
}

/* Ports come up a moment after their driver, so this is called until there is one. */
static int open_agent(void)
{
	DIR *ports = opendir("/sys/class/virtio-ports");
	struct dirent *port;
	int found = -1;

	while (ports && found < 0 && (port = readdir(ports))) {
		char path[64 + sizeof port->d_name], name[64] = "";

		snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", port->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, name, sizeof name - 1) > 0 && !strcmp(name, AGENT "\n")) {
			snprintf(path, sizeof path, "/dev/%s", port->d_name);
			found = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		}
		close(fd);
	}
	if (ports)
		closedir(ports);
	return found;
}

int main(void)
{
	struct pollfd fds[3 + MAX_BUTTONS + MAX_CLIENTS];
	int buttons[MAX_BUTTONS];

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	/* Before devtmpfs was there, so was perhaps no console to inherit. */
	int console = open("/dev/console", O_RDWR);
	if (console >= 0) {
		dup2(console, 0);
		dup2(console, 1);
		dup2(console, 2);
		if (console > 2)
			close(console);
	}
	load_modules();
	set_address();
	prepare_area();

	fds[0].fd = ticker(COUNT_MS);
	fds[1].fd = area ? ticker(DIRTY_MS) : -1;
	fds[2].fd = listen_tcp();
	int n = 3, pressed = open_buttons(buttons);
	for (int i = 0; i < pressed; i++)
		fds[n++].fd = buttons[i];
	int first_client = n, agent = -1;

	say("ready\n");
	for (;;) {
		for (int i = 0; i < n; i++)
			fds[i].events = POLLIN;
		if (poll(fds, n, -1) < 0)
			continue;
		if (fds[0].revents && ticked(fds[0].fd)) {
			printf("count %llu\n", ++count);
			fflush(stdout);
			if (agent < 0)
				agent = open_agent();
		}
		if (fds[1].revents && ticked(fds[1].fd))
			dirty_some();
		for (int i = 3; i < first_client; i++)
			if (fds[i].revents)
				read_button(fds[i].fd);
		for (int i = n - 1; i >= first_client; i--)
			if (fds[i].revents && !serve(fds[i].fd)) {
				close(fds[i].fd);
				fds[i] = fds[--n];
			}
		if (fds[2].revents) {
			int client = accept4(fds[2].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

			if (client >= 0 && n < first_client + MAX_CLIENTS) {
				fds[n].revents = 0;
				fds[n++].fd = client;
			} else if (client >= 0) {
				close(client);
			}
		}
	}
}
