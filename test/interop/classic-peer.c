/*
 * The seed's minimal VPN as a test peer: a TUN device, one TCP connection, every byte XORed with 0x42, select() over
 * both, one read one write. It knows nothing of packet boundaries in the stream, and so tears packets that TCP has
 * joined: that is what it is for.
 *
 *     classic-peer server ADDRESS PORT DEVICE     prints "listening", takes one client
 *     classic-peer client ADDRESS PORT DEVICE
 *
 * Prints "ready" once the device is there and the connection stands. Addresses are IPv4. Configuring the device is left
 * to others, as the seed does.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEY = 0x42, BUFFER = 2048 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_tun(const char *name) {
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  int fd = open("/dev/net/tun", O_RDWR);
  if (fd < 0) fail("open");
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  return fd;
}

static int open_connection(int as_server, const char *address, const char *port) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  int one = 1, connection, fd = socket(AF_INET, SOCK_STREAM, 0);
  if (inet_pton(AF_INET, address, &name.sin_addr) != 1) fail("inet_pton");
  if (!as_server) {
    if (connect(fd, (struct sockaddr *)&name, sizeof name) < 0) fail("connect");
    return fd;
  }
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0) fail("bind");
  if (listen(fd, 1) < 0) fail("listen");
  puts("listening");
  if ((connection = accept(fd, NULL, NULL)) < 0) fail("accept");
  return connection;
}

/* Whether there is more to come. What the device refuses, such as half a packet, is lost. */
static int pass(int from, int to) {
  unsigned char buffer[BUFFER];
  ssize_t count = read(from, buffer, sizeof buffer);
  if (count <= 0) return 0;
  for (ssize_t i = 0; i < count; i++) buffer[i] ^= KEY;
  if (write(to, buffer, count) < 0) return 1;
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  int tun = open_tun(argv[4]);
  int connection = open_connection(strcmp(argv[1], "server") == 0, argv[2], argv[3]);
  puts("ready");
  for (;;) {
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(tun, &readable);
    FD_SET(connection, &readable);
    if (select((tun > connection ? tun : connection) + 1, &readable, NULL, NULL, NULL) < 0) fail("select");
    if (FD_ISSET(tun, &readable) && !pass(tun, connection)) return 0;
    if (FD_ISSET(connection, &readable) && !pass(connection, tun)) return 0;
  }
}
