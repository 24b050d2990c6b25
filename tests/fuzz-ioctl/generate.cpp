// SPDX-License-Identifier: GPL-2.0
//
// Arguments: most make sense, one in four has something in it that does not.
#include "call.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <iterator>

namespace
{

constexpr std::size_t kArgumentRoom = 2 * Arena::kPage; // The rest is for arrays.

const std::uint64_t kBadAddresses[] = {
	0,
	8,
	0xffffffff,
	0x80000000,
	0xfffff000,
	0xffff888000000000, // all of the machine's memory
	0xffffffff81000000, // the kernel's text
	0xfffffffffffff000,
	0x8000000000000000,
};
const std::uint32_t kEdges[] = {0, 1, 2, 3, 4096, 4097, 0x40000000, 0x80000000u, 0xffffffffu};
// The most ranges of a request, 4 MiB of them: as much work as a thousand calls.
constexpr std::uint32_t kMostRanges = 262144;

blk_snap_dev some_device(Random &random, const World &world, const std::vector<Device> &usual)
{
	switch (random.below(16)) {
	case 0:
		return {world.image_major, static_cast<__u32>(random.below(16))};
	case 1:
		return {static_cast<__u32>(random.below(512)) + 512, 0};
	case 2:
		return {static_cast<__u32>(random.next()) | 0x1000,
			static_cast<__u32>(random.next())};
	case 3:
		return random.pick(world.stores).number;
	default:
		return random.pick(usual).number;
	}
}

blk_snap_block_range some_range(Random &random, const Device &device)
{
	const std::uint64_t pieces = device.sectors / 64;
	if (random.one_in(64))
		return {random.next(), random.next() >> random.below(64)};
	return {random.below(pieces) * 64, (1 + random.below(4)) * 64};
}

template <class T> void put_field(unsigned char *argument, int offset, const T &value)
{
	if (offset != kAbsent)
		memcpy(argument + offset, &value, sizeof(value));
}

std::uint32_t some_count(Random &random, unsigned request)
{
	if (random.one_in(512))
		return kMostRanges + static_cast<std::uint32_t>(random.below(2));
	if (random.one_in(8))
		return random.pick(kEdges);
	if (request == kReadCbtMap)
		return static_cast<std::uint32_t>(random.below(Arena::kPage));
	return static_cast<std::uint32_t>(1 + random.below(request == kAppend ? 8 : 4));
}

std::uint32_t some_number(Random &random, unsigned request)
{
	if (random.one_in(64))
		return random.pick(kEdges);
	return static_cast<std::uint32_t>(random.below(request == kWaitEvent ? 3 : 300));
}

std::uint64_t bad_address(Random &random, const Arena &arena)
{
	if (random.one_in(3))
		return arena.fence();
	return random.one_in(3) ? arena.read_only() : random.pick(kBadAddresses);
}

// In the arena; often so that the last byte is the last one that may be touched.
std::uint64_t array_address(Random &random, const Arena &arena, std::size_t bytes)
{
	if (random.one_in(16))
		return bad_address(random, arena);
	if (random.one_in(32)) // on top of the argument, perhaps
		return arena.address(random.below(Arena::kBytes));
	if (random.one_in(2) && bytes < Arena::kBytes - kArgumentRoom)
		return arena.fence() - bytes;
	return arena.address(kArgumentRoom + random.below(Arena::kPage));
}

// Fills an array that the kernel is to read. Return: where.
Span put_array(Random &random, const World &world, Arena &arena, const Call &call,
	       std::uint64_t address, std::uint32_t count)
{
	const std::size_t begin = arena.offset_of(address), size = call.layout().element_bytes;
	std::size_t at = begin;
	for (std::uint32_t i = 0; i < std::min<std::uint32_t>(count, 512); i++, at += size) {
		if (at + size > Arena::kBytes)
			break;
		if (call.request == kCreate) {
			const blk_snap_dev device = some_device(random, world, world.origins);
			arena.put(at, &device, sizeof(device));
			continue;
		}
		const auto &devices = call.request == kAppend ? world.stores : world.origins;
		const blk_snap_block_range range = some_range(random, random.pick(devices));
		arena.put(at, &range, sizeof(range));
	}
	return {begin, at};
}

void fill_argument(Random &random, const World &world, Arena &arena, Call &call,
		   unsigned char *argument)
{
	const Layout &layout = call.layout();
	const std::uint32_t count = some_count(random, call.request);
	const auto &devices = call.request == kAppend ? world.stores : world.origins;

	for (std::size_t i = 0; i < layout.bytes; i++)
		argument[i] = static_cast<unsigned char>(random.next());
	put_field(argument, layout.device, some_device(random, world, devices));
	if (!random.one_in(16))
		put_field(argument, layout.id, world.some_id(random));
	put_field(argument, layout.number, some_number(random, call.request));
	put_field(argument, layout.count, count);
	// What is not given an address of its own below must not have one by chance.
	if (layout.pointer == kAbsent)
		return;
	const std::uint64_t address =
		array_address(random, arena, std::size_t{count} * layout.element_bytes);
	if (call.abi == Abi::Native)
		put_field(argument, layout.pointer, address);
	else
		put_field(argument, layout.pointer, static_cast<std::uint32_t>(address));
	if (call.request == kCreate || call.request == kAppend || call.request == kMarkDirty)
		call.array_span = put_array(random, world, arena, call, address, count);
}

unsigned some_request(Random &random, const Weights &weights)
{
	std::uint64_t sum = 0;
	for (const unsigned weight : weights)
		sum += weight;
	std::uint64_t left = random.below(sum);
	unsigned request = 0;
	while (left >= weights[request])
		left -= weights[request++];
	return request;
}

// A command that is not one: changed in a bit, or of the other world, or of this kind with another number.
std::uint32_t wrong_command(Random &random, std::uint32_t command)
{
	if (random.one_in(2))
		return command ^ 1u << random.below(32);
	return (command & ~0xffu) | static_cast<std::uint32_t>(random.below(256));
}

} // namespace

Call make_call(Random &random, const World &world, Arena &arena, const Weights &weights)
{
	Call call;
	unsigned char argument[Arena::kPage];

	call.request = some_request(random, weights);
	call.abi = random.one_in(2) ? Abi::Native : Abi::Compat;
	call.command = call.layout().command;
	fill_argument(random, world, arena, call, argument);

	const std::size_t bytes = call.layout().bytes;
	std::size_t at = random.below(Arena::kPage / 8) * 8;
	if (random.one_in(4)) // not aligned
		at = random.below(Arena::kPage);
	call.argument = arena.address(at);
	arena.put(at, argument, bytes);
	call.argument_span = {at, at + bytes};
	if (random.one_in(32))
		call.argument = bad_address(random, arena);
	else if (random.one_in(32)) // reaches into the fence
		call.argument = arena.fence() - random.below(bytes);
	if (random.one_in(32)) {
		call.command = wrong_command(random, call.command);
		for (unsigned request = 0; request < kRequests; request++)
			if (layout_of(request, call.abi).command == call.command) {
				call.request = request; // with the argument of another
				return call;
			}
		call.request = kRequests;
	}
	return call;
}

int perform(int control, const Call &call)
{
	long result;

	if (call.abi == Abi::Native) {
		result = syscall(SYS_ioctl, control, call.command, call.argument);
		return static_cast<int>(result < 0 ? -errno : result);
	}
	// The entry of 32-bit programs, from a 64-bit one; 54 is their ioctl.
	asm volatile("int $0x80"
		     : "=a"(result)
		     : "a"(54L), "b"(static_cast<long>(control)),
		       "c"(static_cast<long>(call.command)),
		       "d"(static_cast<long>(static_cast<std::uint32_t>(call.argument)))
		     : "memory", "r8", "r9", "r10", "r11");
	return static_cast<int>(result);
}
