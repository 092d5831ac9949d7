// The threads of a block, one at a time on one thread of this machine, each with a stack of its own: what waits for the others of its warp or
// block gives way to them. Every other block runs its threads from the last to the first, so that what relies on an order that CUDA does not
// promise is seen. Where all of them wait and none can go on, the process ends.
#pragma once
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>

namespace emulated {
constexpr int kMost = 1024, kWarp = 32;
constexpr size_t kStack = 256 << 10, kGuard = 4096;
enum State { kReady, kInWarp, kInBlock, kDone };

class Block {
 public:
  using Body = void (*)(void* of, int thread);

  // body(of, thread) for each of `count` threads; enter(of, thread) whenever one goes on
  void Run(int count, Body body, Body enter, void* of, bool backwards) {
    count_ = count, body_ = body, of_ = of, current() = this;
    if (!stacks_) stacks_ = (char*)mmap(nullptr, kMost * kStack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (int t = 0; t < count; ++t) Begin(t);
    for (int left = count; left > 0;) {
      int went = 0;
      for (int k = 0; k < count; ++k) {
        thread_ = backwards ? count - 1 - k : k;
        if (states_[thread_] != kReady) continue;
        enter(of, thread_);
        swapcontext(&main_, &threads_[thread_]);
        ++went, left -= states_[thread_] == kDone;
      }
      if (went == 0) fprintf(stderr, "emulated GPU: threads of a block wait for each other\n"), abort();
      for (int t = 0; t < count; t += kWarp) Release(t, t + kWarp < count ? t + kWarp : count, kInWarp);
      Release(0, count, kInBlock);
    }
  }
  // the running thread goes on when all others of its warp or block that have not ended are here too
  static void Wait(bool in_warp) {
    Block* block = current();
    int t = block->thread_;
    block->states_[t] = in_warp ? kInWarp : kInBlock;
    swapcontext(&block->threads_[t], &block->main_);
  }

 private:
  static Block*& current() {
    static Block* block;
    return block;
  }
  static void Start() {
    Block* block = current();
    int t = block->thread_;
    block->body_(block->of_, t);
    block->states_[t] = kDone;
    swapcontext(&block->threads_[t], &block->main_);
  }
  void Begin(int t) {
    char* stack = stacks_ + t * kStack;
    if (t >= begun_) mprotect(stack + kGuard, kStack - kGuard, PROT_READ | PROT_WRITE), begun_ = t + 1;
    getcontext(&threads_[t]);
    threads_[t].uc_stack.ss_sp = stack + kGuard, threads_[t].uc_stack.ss_size = kStack - kGuard;
    threads_[t].uc_link = nullptr;
    makecontext(&threads_[t], Start, 0);
    states_[t] = kReady;
  }
  void Release(int from, int to, State waiting) {
    for (int t = from; t < to; ++t)
      if (states_[t] != waiting && states_[t] != kDone) return;
    for (int t = from; t < to; ++t)
      if (states_[t] == waiting) states_[t] = kReady;
  }

  ucontext_t main_, threads_[kMost];
  State states_[kMost];
  char* stacks_ = nullptr;
  int count_ = 0, thread_ = 0, begun_ = 0;
  Body body_ = nullptr;
  void* of_ = nullptr;
};
}  // namespace emulated
