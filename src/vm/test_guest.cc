// PID 1 of the guests that this folder's tests boot: it says what it sees, does what the kernel
// command line asks (`test=MODE`), and powers the machine off. Static, without libraries of ours.
//
//   hello    names disks and network, talks to the gateway, powers off
//   tick     counts on the console for ever
//   flood    writes 330 KB to the console, powers off
//   panic    ends, which makes the kernel panic
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

namespace {

char g_line[4096];

const char* read_line(const char* path) {
  const int fd = open(path, O_RDONLY);
  const ssize_t got = fd < 0 ? -1 : read(fd, g_line, sizeof g_line - 1);
  if (fd >= 0) close(fd);
  g_line[got > 0 ? got : 0] = 0;
  g_line[strcspn(g_line, "\n")] = 0;
  return g_line;
}

void load_modules() {
  FILE* list = fopen("/modules.list", "r");
  char name[128];
  while (list != nullptr && fgets(name, sizeof name, list) != nullptr) {
    name[strcspn(name, "\n")] = 0;
    char path[256];
    snprintf(path, sizeof path, "/modules/%s", name);
    const int fd = open(path, O_RDONLY);
    if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0) printf("module %s failed\n", name);
    if (fd >= 0) close(fd);
  }
}

void name_disks() {
  for (char letter = 'a'; letter <= 'd'; ++letter) {
    char path[64];
    snprintf(path, sizeof path, "/sys/block/vd%c/serial", letter);
    if (access(path, R_OK) != 0) continue;
    printf("disk %s ", read_line(path));
    snprintf(path, sizeof path, "/sys/block/vd%c/ro", letter);
    printf("ro=%s ", read_line(path));
    snprintf(path, sizeof path, "/dev/vd%c", letter);
    const int fd = open(path, O_RDWR);
    char bytes[6] = {};
    if (fd >= 0 && pread(fd, bytes, 5, 0) == 5) printf("starts with %s", bytes);
    if (fd >= 0 && pwrite(fd, "guest", 5, 0) == 5 && fsync(fd) == 0) printf(", written");
    printf("\n");
    if (fd >= 0) close(fd);
  }
}

bool set_address(int fd, unsigned long request, const char* address) {
  ifreq ask{};
  strcpy(ask.ifr_name, "eth0");
  auto* where = reinterpret_cast<sockaddr_in*>(&ask.ifr_addr);
  where->sin_family = AF_INET;
  inet_pton(AF_INET, address, &where->sin_addr);
  return ioctl(fd, request, &ask) == 0;
}

void talk_to_gateway() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (!set_address(fd, SIOCSIFADDR, "169.254.169.253")) return;
  set_address(fd, SIOCSIFNETMASK, "255.255.255.252");
  ifreq up{};
  strcpy(up.ifr_name, "eth0");
  ioctl(fd, SIOCGIFFLAGS, &up);
  up.ifr_flags |= IFF_UP;
  ioctl(fd, SIOCSIFFLAGS, &up);
  sockaddr_in gateway{};
  gateway.sin_family = AF_INET;
  gateway.sin_port = htons(80);
  inet_pton(AF_INET, "169.254.169.254", &gateway.sin_addr);
  char answer[64] = {};
  if (connect(fd, reinterpret_cast<sockaddr*>(&gateway), sizeof gateway) == 0 &&
      write(fd, "hello\n", 6) == 6 && read(fd, answer, sizeof answer - 1) > 0)
    printf("gateway says %s\n", answer);
  else
    printf("no gateway\n");
  close(fd);
}

[[noreturn]] void tick() {
  for (int i = 0;; ++i) {
    printf("tick %d\n", i);
    usleep(20000);
  }
}

void flood() {
  for (int i = 0; i < 5000; ++i)
    printf("%06d 012345678901234567890123456789012345678901234567890123456\n", i);
}

}  // namespace

int main() {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  mkdir("/proc", 0755);
  mkdir("/sys", 0755);
  mount("proc", "/proc", "proc", 0, nullptr);
  mount("sys", "/sys", "sysfs", 0, nullptr);
  mount("dev", "/dev", "devtmpfs", 0, nullptr);
  printf("guest is up\n");
  load_modules();
  read_line("/proc/cmdline");
  const char* found = strstr(g_line, "test=");
  char mode[16] = {};
  if (found != nullptr) sscanf(found, "test=%15s", mode);
  if (strcmp(mode, "tick") == 0) tick();
  if (strcmp(mode, "flood") == 0) flood();
  if (strcmp(mode, "panic") == 0) return 1;
  if (strcmp(mode, "hello") == 0) {
    name_disks();
    talk_to_gateway();
  }
  printf("guest is done\n");
  tcdrain(1);  // the kernel powers off without waiting for its console
  reboot(RB_POWER_OFF);
}
