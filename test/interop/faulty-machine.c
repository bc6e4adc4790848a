/* A kernel, network card or cipher that is broken in one way, for programs that find functions by dlsym, as koffi does.
 *
 *     LD_PRELOAD=faulty-machine.so FAULT=NAME program
 *
 * The fault lies below the program: between its call of libc and the system call, or behind its call of OpenSSL. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define TUNSETOFFLOAD 0x400454d0ul
#define TUNGETIFF 0x800454d2ul
#define TSO_FLAGS 0x06ul
#define USO_FLAGS 0x60ul
#define UDP_SEGMENT 103
#define UDP_GRO 104

static int has(const char *fault) {
  const char *wanted = getenv("FAULT");
  return wanted != NULL && strcmp(wanted, fault) == 0;
}

static int fail(int error) {
  errno = error;
  return -1;
}

static int faulty_ioctl(int fd, unsigned long request, unsigned long argument) {
  if (request == TUNSETOFFLOAD) {
    if (has("no-uso") && (argument & USO_FLAGS)) return fail(EINVAL);
    if (has("no-tso") && (argument & (USO_FLAGS | TSO_FLAGS))) return fail(EINVAL);
    if (has("no-tun-offload") && argument != 0) return fail(EINVAL);
  }
  return ioctl(fd, request, argument);
}

static int faulty_getsockopt(int fd, int level, int option, void *value, socklen_t *length) {
  if (has("no-segment") && level == IPPROTO_UDP && option == UDP_SEGMENT) return fail(ENOPROTOOPT);
  return getsockopt(fd, level, option, value, length);
}

static int faulty_setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
  if (has("no-gro") && level == IPPROTO_UDP && option == UDP_GRO) return fail(ENOPROTOOPT);
  return setsockopt(fd, level, option, value, length);
}

/* The length of the datagrams that a send is to be cut into; 0 where it is one. */
static size_t segment_size(const struct msghdr *header) {
  struct msghdr *message = (struct msghdr *)header;
  for (struct cmsghdr *entry = CMSG_FIRSTHDR(message); entry != NULL; entry = CMSG_NXTHDR(message, entry)) {
    if (entry->cmsg_level != IPPROTO_UDP || entry->cmsg_type != UDP_SEGMENT) continue;
    unsigned short size;
    memcpy(&size, CMSG_DATA(entry), sizeof size);
    return size;
  }
  return 0;
}

static int is_loopback(const struct msghdr *header) {
  const struct sockaddr_in *to = header->msg_name;
  return to != NULL && to->sin_family == AF_INET && (ntohl(to->sin_addr.s_addr) >> 24) == 127;
}

static ssize_t faulty_sendmsg(int fd, const struct msghdr *header, int flags) {
  size_t size = segment_size(header);
  if (size == 0) return sendmsg(fd, header, flags);
  if (has("segment-eio") && !is_loopback(header)) return fail(EIO);
  struct iovec *last = &header->msg_iov[header->msg_iovlen - 1];
  if (!has("equal-tail") || header->msg_iovlen < 2 || last->iov_len != size) return sendmsg(fd, header, flags);
  ((char *)last->iov_base)[size - 1] ^= 1;
  ssize_t sent = sendmsg(fd, header, flags);
  ((char *)last->iov_base)[size - 1] ^= 1;
  return sent;
}

/* What a receiver is told of the size of joined datagrams is wrong. */
static ssize_t faulty_recvmsg(int fd, struct msghdr *header, int flags) {
  ssize_t length = recvmsg(fd, header, flags);
  if (length < 0 || !has("gro-size")) return length;
  for (struct cmsghdr *entry = CMSG_FIRSTHDR(header); entry != NULL; entry = CMSG_NXTHDR(header, entry)) {
    if (entry->cmsg_level != IPPROTO_UDP || entry->cmsg_type != UDP_GRO) continue;
    int size;
    memcpy(&size, CMSG_DATA(entry), sizeof size);
    size += 8;
    memcpy(CMSG_DATA(entry), &size, sizeof size);
  }
  return length;
}

/* A TUN device that takes no super-packets, whose kind stands in the second byte of the virtio header. */
static ssize_t faulty_write(int fd, const void *from, size_t length) {
  char request[64];
  if (has("tun-einval") && length > 10 && ((const char *)from)[1] != 0 && ioctl(fd, TUNGETIFF, request) == 0) {
    return fail(EINVAL);
  }
  return write(fd, from, length);
}

static void *(*real_chacha20)(unsigned char *, const unsigned char *, size_t, const void *, const void *);

/* A cipher that means something else. */
static void faulty_chacha20(unsigned char *to, const unsigned char *from, size_t length, const void *key, const void *counter) {
  real_chacha20(to, from, length, key, counter);
  if (length > 0) to[length - 1] ^= 1;
}

void *dlsym(void *library, const char *name) {
  static const struct { const char *name; void *function; } faulty[] = {
    {"ioctl", faulty_ioctl}, {"getsockopt", faulty_getsockopt}, {"setsockopt", faulty_setsockopt},
    {"sendmsg", faulty_sendmsg}, {"recvmsg", faulty_recvmsg}, {"write", faulty_write},
  };
  static void *(*real)(void *, const char *);
  for (unsigned i = 0; i < sizeof faulty / sizeof faulty[0]; i++) {
    if (strcmp(name, faulty[i].name) == 0) return faulty[i].function;
  }
  /* The version is that of the architecture's first glibc that has the function: x86-64, arm64, and newer ones. */
  static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17"};
  for (unsigned i = 0; real == NULL && i < 3; i++) real = dlvsym(RTLD_NEXT, "dlsym", versions[i]);
  if (real == NULL) return NULL;
  if (strcmp(name, "ChaCha20_ctr32") == 0 && has("no-block")) return NULL;
  if (strcmp(name, "ChaCha20_ctr32") == 0 && has("wrong-block")) {
    *(void **)&real_chacha20 = real(library, name);
    return real_chacha20 == NULL ? NULL : (void *)faulty_chacha20;
  }
  return real(library, name);
}
