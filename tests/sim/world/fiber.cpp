// SPDX-License-Identifier: GPL-2.0
//
// Machine contexts of fibers: Boost.Context's raw fcontext, because it is a dozen instructions per
// switch and thousands of switches make one history. Stacks are pooled, with a guard page.
#include <world/fiber.hpp>

#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/asan_interface.h>
#define SIM_ASAN 1
#else
#define SIM_ASAN 0
#endif

namespace sim
{

namespace context = boost::context::detail;

namespace
{

constexpr std::size_t kStackBytes = SIM_ASAN ? 256 * 1024 : 96 * 1024;
constexpr std::size_t kGuardBytes = 4096;

std::vector<Stack> free_stacks;
void *main_machine;
[[maybe_unused]] void *main_fake_stack;
[[maybe_unused]] const void *main_bottom;
[[maybe_unused]] std::size_t main_bytes;

Stack take_stack()
{
	if (!free_stacks.empty()) {
		Stack stack = free_stacks.back();
		free_stacks.pop_back();
		return stack;
	}
	void *memory = mmap(nullptr, kStackBytes + kGuardBytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		std::perror("mmap of a fiber stack");
		std::exit(2);
	}
	mprotect(memory, kGuardBytes, PROT_NONE);
	return {static_cast<char *>(memory) + kGuardBytes, kStackBytes};
}

void entry(context::transfer_t from)
{
	auto &fiber = *static_cast<Fiber *>(from.data);
#if SIM_ASAN
	__sanitizer_finish_switch_fiber(nullptr, &main_bottom, &main_bytes);
#endif
	main_machine = from.fctx;
	fiber.body();
	fiber.run = Run::Done;
#if SIM_ASAN
	__sanitizer_start_switch_fiber(nullptr, main_bottom, main_bytes);
#endif
	context::jump_fcontext(main_machine, nullptr);
	__builtin_unreachable();
}

} // namespace

void fiber_start(Fiber &fiber)
{
	fiber.stack = take_stack();
	char *top = static_cast<char *>(fiber.stack.bottom) + fiber.stack.bytes;
	fiber.machine = context::make_fcontext(top, fiber.stack.bytes, entry);
}

void fiber_resume(Fiber &fiber)
{
#if SIM_ASAN
	__sanitizer_start_switch_fiber(&main_fake_stack, fiber.stack.bottom, fiber.stack.bytes);
#endif
	context::transfer_t back = context::jump_fcontext(fiber.machine, &fiber);
	fiber.machine = back.fctx;
#if SIM_ASAN
	__sanitizer_finish_switch_fiber(main_fake_stack, nullptr, nullptr);
#endif
}

void fiber_suspend([[maybe_unused]] Fiber &fiber)
{
#if SIM_ASAN
	__sanitizer_start_switch_fiber(&fiber.fake_stack, main_bottom, main_bytes);
#endif
	context::transfer_t from = context::jump_fcontext(main_machine, nullptr);
	main_machine = from.fctx;
#if SIM_ASAN
	__sanitizer_finish_switch_fiber(fiber.fake_stack, &main_bottom, &main_bytes);
#endif
}

void fiber_release(Fiber &fiber)
{
	if (!fiber.stack.bottom)
		return;
#if SIM_ASAN
	ASAN_UNPOISON_MEMORY_REGION(fiber.stack.bottom, fiber.stack.bytes);
#endif
	free_stacks.push_back(fiber.stack);
	fiber.stack = {};
}

} // namespace sim
