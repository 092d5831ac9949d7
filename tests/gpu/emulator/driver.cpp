// CUDA's driver and runtime for a machine without a GPU, as far as TVM's CUDA runtime calls them. The "machine code" that it loads is a
// shared library (see nvcc.py), whose kernels it calls for one thread after the other (from the last to the first in every other launch), or
// in turn where they wait for each other. Device memory can be touched by kernels and copies only: host code that follows an address of the
// device ends with a fault, as it would next to a GPU. Stricter than a GPU: memory that was not written is full of NaNs, and what reads or
// writes beyond the end of an allocation (rounded to 256 bytes, where they begin), or shortly in front of it, ends with a fault.
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "block.h"

namespace {
constexpr size_t kMemory = size_t(8) << 30, kPage = 4096, kAligned = 256;
std::recursive_mutex lock;
int open_depth = 0;
char* memory = nullptr;
int nothing = -1;  // an empty file: its pages cannot be touched, whatever is allowed
size_t used = 0;
std::multimap<size_t, void*> released;
std::map<void*, size_t> sizes;
long long launches = 0, copies = 0;

void Protect(int how) {
  if (used) mprotect(memory, used, how);
}
char* hidden = nullptr;  // memory of the host that kernels must not touch
size_t hidden_size = 0;
struct Hidden {  // it, while this lives
  Hidden() { if (hidden) mprotect(hidden, hidden_size, PROT_NONE); }
  ~Hidden() { if (hidden) mprotect(hidden, hidden_size, PROT_READ | PROT_WRITE); }
};
struct Open {  // device memory, while this lives
  Open() { lock.lock(); if (open_depth++ == 0) Protect(PROT_READ | PROT_WRITE); }
  ~Open() { if (--open_depth == 0) Protect(PROT_NONE); lock.unlock(); }
};
struct Index {
  unsigned x, y, z;
};
struct LaunchConfig {
  unsigned grid[3], block[3], shared_bytes;
  void* stream;
  void* attributes;
  unsigned count;
};
struct Kernel {
  void (*call)(void**);
  Index *thread, *block;
  bool waits;  // whether its threads may wait for each other
  const size_t* sizes;  // of its arguments, and 0
};
struct Launch {
  Kernel* kernel;
  void** arguments;
  const unsigned* size;  // of a block
  void At(int thread) { *kernel->thread = {thread % size[0], thread / size[0] % size[1], thread / (size[0] * size[1])}; }
};
void RunThread(void* launch, int) {
  try {
    ((Launch*)launch)->kernel->call(((Launch*)launch)->arguments);
  } catch (...) {  // it has ended itself (device.h)
  }
}
void EnterThread(void* launch, int thread) { ((Launch*)launch)->At(thread); }
emulated::Block block_of_threads;

size_t heap = 8 << 20;  // bytes
// The heap of kernels. How much of it is taken stands in front of each piece.
size_t taken = 0;
long long pieces = 0, lacking = -1;  // how many were taken; which one is not there
void* Take(size_t size) {
  if (pieces++ == lacking || taken + size > heap) return nullptr;
  size_t* piece = (size_t*)malloc(size + 16);
  memset(piece, 0xFF, size + 16);
  taken += *piece = size;
  return piece + 2;
}
void Give(void* p) {
  size_t* piece = (size_t*)p - 2;
  taken -= *piece;
  memset(piece, 0xFF, *piece + 16);
  free(piece);
}

// What a stream was given while it captured: a launch with copies of its arguments, or (without a kernel) a copy.
struct Work {
  LaunchConfig config;
  Kernel* kernel;
  std::vector<std::vector<char>> arguments;
  void *to, *from;
  size_t size;
};
using Graph = std::vector<Work>;
struct Stream {
  bool is_captured = false, is_broken = false;
  Graph work;
};
long long graph_launches = 0;
std::vector<Stream*> captured;  // those that capture now
thread_local int capturing = 0;  // of them, by this thread: it gives nothing to the default stream meanwhile, which the graph would lack
thread_local int device = 0;
// What is done on the default stream of another device than the first one would not wait for what is done there.
bool IsElsewhere(void* stream) { return !stream && device != 0; }
bool IsCaptured(void* stream) { return stream && ((Stream*)stream)->is_captured; }
int Break(void* stream) {  // something that a captured stream cannot do
  ((Stream*)stream)->is_broken = true;
  return 900;
}
}  // namespace

extern "C" {
long long emulated_taken() { return taken; }
long long emulated_pieces() { return pieces; }
void emulated_lack(long long piece) { pieces = 0, lacking = piece; }
int emulated_lost = 0;  // the error of a kernel, which all calls behind it give too
long long emulated_launches() { return launches; }
long long emulated_copies() { return copies; }
void emulated_hide(char* at, size_t size) { hidden = at, hidden_size = size; }
long long emulated_graphs() { return graph_launches; }

int cudaGetDeviceCount(int* count) {
  *count = getenv("EMULATED_GPUS") ? atoi(getenv("EMULATED_GPUS")) : 1;
  return getenv("EMULATED_OLD_DRIVER") ? 35 : 0;
}
int cudaGetDevice(int* now) { *now = device; return 0; }
int cudaDriverGetVersion(int* version) { *version = getenv("EMULATED_OLD_DRIVER") ? 12020 : 13000; return 0; }
int cudaRuntimeGetVersion(int* version) { *version = 13000; return 0; }
int cudaDeviceSynchronize() {
  std::lock_guard<std::recursive_mutex> guard(lock);
  for (Stream* stream : captured) Break(stream);
  return captured.empty() ? 0 : 900;
}
int cudaSetDevice(int to) { device = to; return 0; }
int cudaDeviceSetLimit(int limit, size_t size) { return limit == 2 && !getenv("EMULATED_HEAP_IS_FIXED") ? heap = size, 0 : 1; }
int cudaDeviceGetLimit(size_t* size, int) { *size = heap; return 0; }
int cudaDeviceGetAttribute(int* value, int attribute, int) {
  const char* arch = getenv("EMULATED_SM");
  int sm = arch ? atoi(arch) : 90;
  *value = attribute == 75 ? sm / 10 : attribute == 76 ? sm % 10 : attribute == 10 ? 32 : attribute == 1 ? 1024 : attribute == 16 ? 132 : attribute == 39 ? 2048 : 0;
  return 0;
}
int cudaGetDeviceProperties(void* properties, int) { strcpy((char*)properties, "emulated"); return 0; }
int cudaMemGetInfo(size_t* free, size_t* total) {
  const char* given = getenv("EMULATED_FREE");
  *free = given ? strtoull(given, nullptr, 10) : kMemory - used, *total = kMemory;
  return 0;
}
int cudaMalloc(void** out, size_t size) {
  if (size == 0) return *out = nullptr, 0;
  Open open;
  if (!memory) {
    memory = (char*)mmap(nullptr, kMemory, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    nothing = memfd_create("nothing", 0);
  }
  size = (size + kAligned - 1) / kAligned * kAligned;
  if (auto found = released.find(size); found != released.end()) {
    *out = found->second;
    released.erase(found);
  } else {
    size_t pages = (size + kPage - 1) / kPage * kPage;
    if (used + pages + kPage > kMemory) return 2;
    used += pages + kPage;
    char* end = memory + used - kPage;
    mmap(end, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, nothing, 0);
    *out = end - size;
    sizes[*out] = size;
    Protect(PROT_READ | PROT_WRITE);
  }
  memset(*out, 0xFF, size);
  return 0;
}
int cudaFree(void* p) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  if (p) released.emplace(sizes[p], p);
  return 0;
}
int cudaMallocHost(void** out, size_t size) { *out = malloc(size); return 0; }
int cudaFreeHost(void* p) { free(p); return 0; }
int cudaMemcpyAsync(void* to, const void* from, size_t size, int, void* stream) {
  if (IsCaptured(stream)) {
    ((Stream*)stream)->work.push_back({{}, nullptr, {}, to, (void*)from, size});
    return 0;
  }
  if (IsElsewhere(stream)) return 400;
  if (capturing && !stream) return 906;
  Open open;
  ++copies;
  memmove(to, from, size);
  return 0;
}
int cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t size, void*) { return cudaMemcpyAsync(to, from, size, 0, nullptr); }
int cudaStreamCreate(void** s) { *s = new Stream; return 0; }
int cudaStreamCreateWithFlags(void** s, unsigned) { *s = new Stream; return 0; }
int cudaStreamDestroy(void* s) { delete (Stream*)s; return 0; }
int cudaStreamSynchronize(void* s) { return IsCaptured(s) ? Break(s) : IsElsewhere(s) ? 400 : emulated_lost; }
int cudaStreamWaitEvent(void*, void*, unsigned) { return 0; }
int cudaStreamBeginCapture(void* s, int mode) {
  if (!s || mode != 2 || IsCaptured(s) || getenv("EMULATED_NO_GRAPHS")) return 801;
  Stream& stream = *(Stream*)s;
  std::lock_guard<std::recursive_mutex> guard(lock);
  ++capturing, captured.push_back(&stream), stream.is_captured = true, stream.is_broken = false, stream.work.clear();
  return 0;
}
int cudaStreamEndCapture(void* s, void** graph) {
  if (!IsCaptured(s)) return 1;
  Stream& stream = *(Stream*)s;
  std::lock_guard<std::recursive_mutex> guard(lock);
  --capturing, captured.erase(std::find(captured.begin(), captured.end(), &stream)), stream.is_captured = false;
  *graph = stream.is_broken ? nullptr : new Graph(stream.work);
  return stream.is_broken ? 901 : 0;
}
int cudaGraphInstantiate(void** made, void* graph, unsigned long long) { *made = new Graph(*(Graph*)graph); return 0; }
int cudaGraphDestroy(void* graph) { delete (Graph*)graph; return 0; }
int cudaGraphExecDestroy(void* graph) { delete (Graph*)graph; return 0; }
int cudaEventCreate(void** e) { *e = new timespec{}; return 0; }
int cudaEventDestroy(void* e) { delete (timespec*)e; return 0; }
int cudaEventRecord(void* e, void*) { return clock_gettime(CLOCK_MONOTONIC, (timespec*)e); }
int cudaEventSynchronize(void*) { return 0; }
int cudaEventElapsedTime(float* ms, void* from, void* to) {
  timespec &a = *(timespec*)from, &b = *(timespec*)to;
  *ms = (b.tv_sec - a.tv_sec) * 1e3f + (b.tv_nsec - a.tv_nsec) * 1e-6f;
  return 0;
}
int cudaGetLastError() { return 0; }
int cudaPeekAtLastError() { return 0; }
const char* cudaGetErrorName(int) { return "emulated"; }
const char* cudaGetErrorString(int) { return "refused by the emulator"; }

int cuDeviceGetName(char* name, int size, int) { snprintf(name, size, "emulated"); return 0; }
int cuFuncSetAttribute(void*, int, int) { return 0; }
int cuGetErrorName(int, const char** text) { *text = "emulated"; return 0; }
int cuGetErrorString(int, const char** text) { *text = "refused by the emulator"; return 0; }
int cuTensorMapEncodeTiled() { return 801; }
int cuModuleLoadData(void** module, const void* image) {
  const Elf64_Ehdr* head = (const Elf64_Ehdr*)image;
  if (memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) return 200;
  size_t size = head->e_shoff + size_t(head->e_shnum) * head->e_shentsize;
  char path[] = "/tmp/emulated-XXXXXX";
  int file = mkstemp(path);
  if (file < 0 || write(file, image, size) != (ssize_t)size) return 1;
  close(file);
  *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!*module) fprintf(stderr, "%s\n", dlerror());
  unlink(path);
  return *module ? 0 : 200;
}
int cuModuleUnload(void*) { return 0; }  // libraries stay: kernels of others may be in use
int cuModuleGetFunction(void** function, void* module, const char* name) {
  void* call = dlsym(module, (std::string("emulated_") + name).c_str());
  if (!call) return 500;
  *(void (**)(bool))dlsym(module, "emulated_wait") = emulated::Block::Wait;
  *(void* (**)(size_t))dlsym(module, "emulated_take") = Take;
  *(void (**)(void*))dlsym(module, "emulated_give") = Give;
  *function = new Kernel{(void (*)(void**))call, ((Index * (*)()) dlsym(module, "emulated_thread_index"))(),
                         ((Index * (*)()) dlsym(module, "emulated_block_index"))(), *(int*)dlsym(module, "emulated_waits") != 0,
                         (const size_t*)dlsym(module, (std::string("emulated_sizes_") + name).c_str())};
  return 0;
}
int cuLaunchKernelEx(const LaunchConfig* config, Kernel* kernel, void** arguments, void**) {
  for (int k = 0; k < 3; ++k)
    if (config->grid[k] == 0 || config->block[k] == 0 || (k > 0 && config->grid[k] > 65535)) return 1;
  int threads = config->block[0] * config->block[1] * config->block[2];
  if (threads > 1024) return 1;
  if (IsCaptured(config->stream)) {
    std::vector<std::vector<char>> kept;
    for (int k = 0; kernel->sizes[k]; ++k) kept.emplace_back((char*)arguments[k], (char*)arguments[k] + kernel->sizes[k]);
    ((Stream*)config->stream)->work.push_back({*config, kernel, kept, nullptr, nullptr, 0});
    return 0;
  }
  if (capturing && !config->stream) return 906;
  if (IsElsewhere(config->stream)) return 400;
  if (getenv("EMULATED_LAUNCH_ERROR")) return emulated_lost = atoi(getenv("EMULATED_LAUNCH_ERROR"));
  Open open;
  Hidden no_host;
  ++launches;
  Index &b = *kernel->block;
  Launch launch{kernel, arguments, config->block};
  const bool backwards = launches % 2 == 0;
  int turn = 0;
  for (b.z = 0; b.z < config->grid[2]; ++b.z)
    for (b.y = 0; b.y < config->grid[1]; ++b.y)
      for (unsigned block = 0; block < config->grid[0]; ++block) {
        b.x = backwards ? config->grid[0] - 1 - block : block;
        if (kernel->waits) {
          block_of_threads.Run(threads, RunThread, EnterThread, &launch, ++turn % 2 == 0);
          continue;
        }
        for (int thread = 0; thread < threads; ++thread) {
          launch.At(backwards ? threads - 1 - thread : thread);
          RunThread(&launch, thread);
        }
      }
  return 0;
}
int cudaGraphLaunch(void* graph, void* stream) {
  if (IsCaptured(stream)) return Break(stream);
  ++graph_launches;
  for (Work& work : *(Graph*)graph) {
    std::vector<void*> arguments;
    for (auto& argument : work.arguments) arguments.push_back(argument.data());
    work.config.stream = stream;
    int status = work.kernel ? cuLaunchKernelEx(&work.config, work.kernel, arguments.data(), nullptr)
                             : cudaMemcpyAsync(work.to, work.from, work.size, 0, stream);
    if (status) return status;
  }
  return 0;
}
}
