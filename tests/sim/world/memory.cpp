// SPDX-License-Identifier: GPL-2.0
//
// Memory: a bump arena with free lists by power of two; see the header for why.
#include <world/memory.hpp>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <world/report.hpp>
#include <world/world.hpp>

namespace sim
{

namespace
{

constexpr std::size_t kArenaBytes = std::size_t{256} << 20;
constexpr u64 kLiveMark = 0x6c697665626c6b73;
constexpr u64 kFreeMark = 0x66726565626c6b73;

struct Header {
	u64 mark;
	u32 size_class;
	u32 bytes;
};
static_assert(sizeof(Header) == 16);

char *arena()
{
	static char *base = [] {
		void *at = reinterpret_cast<void *>(std::size_t{0x100000000000});
		void *memory = mmap(
			at, kArenaBytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
		if (memory == MAP_FAILED) {
			std::perror("mmap of the arena");
			std::exit(2);
		}
		return static_cast<char *>(memory);
	}();
	return base;
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kUseMalloc = true;
#else
constexpr bool kUseMalloc = false;
#endif

constexpr char kFreedByte = 0x5a;

// Somebody who has kept a pointer writes there. Behind the link, and not in what would take long.
void check_freed(const char *memory)
{
	const u32 bytes = std::min(reinterpret_cast<const Header *>(memory)->bytes, 4096u);
	for (u32 i = sizeof(void *); i < bytes; i++)
		if (memory[sizeof(Header) + i] != kFreedByte)
			fail("memory", "byte %u of %u was written to after it was freed", i, bytes);
}

} // namespace

Memory::Memory() = default;

void Memory::check_all_freed() const
{
	for (const Free *first : free_)
		for (; first; first = first->next)
			check_freed(reinterpret_cast<const char *>(first) - sizeof(Header));
}

bool Memory::refuses(Random &random, bool nowait)
{
	if (!enabled)
		return false;
	calls_++;
	const bool refused = calls_ == faults.fail_at ||
			     (nowait && random.permille(faults.nowait_permille)) ||
			     random.permille(faults.any_permille);
	failed_ |= refused;
	if (refused && !nowait)
		world().harm.on_refusal();
	return refused;
}

void *Memory::alloc(std::size_t bytes, bool zero)
{
	const std::size_t total = bytes + sizeof(Header);
	const unsigned size_class = total <= 32 ? 0 : std::bit_width((total - 1) >> 5);
	if (size_class >= kClasses)
		return nullptr;
	char *memory;
	if (kUseMalloc) {
		memory = static_cast<char *>(std::malloc(total));
	} else if (free_[size_class]) {
		Free *first = free_[size_class];
		free_[size_class] = first->next;
		memory = reinterpret_cast<char *>(first) - sizeof(Header);
		check_freed(memory);
	} else {
		const std::size_t room = std::size_t{32} << size_class;
		if (used_ + room > kArenaBytes)
			fail("memory", "the arena is full");
		memory = arena() + used_;
		used_ += room;
	}
	auto *header = reinterpret_cast<Header *>(memory);
	*header = {kLiveMark, size_class, static_cast<u32>(bytes)};
	std::memset(memory + sizeof(Header), zero ? 0 : 0xa5, bytes);
	live_++;
	return memory + sizeof(Header);
}

void Memory::free(void *memory)
{
	if (!memory)
		return;
	auto *header = reinterpret_cast<Header *>(static_cast<char *>(memory) - sizeof(Header));
	if (header->mark != kLiveMark)
		fail("memory", "free of %s",
		     header->mark == kFreeMark ? "freed memory" : "nonsense");
	live_--;
	std::memset(memory, kFreedByte, header->bytes);
	if (kUseMalloc) {
		std::free(header);
		return;
	}
	header->mark = kFreeMark;
	auto *link = static_cast<Free *>(memory);
	link->next = free_[header->size_class];
	free_[header->size_class] = link;
}

} // namespace sim
