// SPDX-License-Identifier: GPL-2.0
//
// Fuzz target: a request of a program, native or 32-bit, from any memory. What the control is asked, what
// is given back and which bytes of the program change must be as documented, byte by byte; no byte is
// fetched twice; and a request that cannot be told leaves nothing behind.
#include "expected.hpp"

#include "../../unit/fake_port.hpp"

#include <algorithm>
#include <blksnap/core/ioctl.hpp>

namespace
{

using namespace fuzz;

UserMemory *memory;
bool admin;

constexpr u32 kCommands[] = {
	0x40085600, 0x40085601, 0x40105602, 0x80185603, 0x80185604, 0x40205605, 0x80105606,
	0x40285607, 0x80105608, 0x40105609, 0x4020560a, 0x5000560b, 0x40085602, 0x80145603,
	0x80105604, 0x40185605, 0x40205607, 0x40085609, 0x4018560a,
};

u64 draw_address(Input &input)
{
	switch (input.below(8)) {
	case 0:
		return input.wide();
	case 1:
		return input.telling(UserMemory::kBase + UserMemory::kBytes);
	case 2:
		return 0;
	default:
		return UserMemory::kBase + input.number() % UserMemory::kBytes;
	}
}

// Where the argument will be looked for stand bytes of the input, and in them, mostly, a pointer that leads
// somewhere.
void fill(Input &input, const Request &request, UserMemory &memory)
{
	for (u64 i = 0; i < 44; i++)
		if (UserMemory::holds(request.argument + i, 1))
			*memory.at(request.argument + i) = input.byte();
	const u64 pointer = draw_address(input);
	const u64 at = request.argument + input.below(11) * 4;
	if (UserMemory::holds(at, 8))
		std::memcpy(memory.at(at), &pointer, request.compat ? 4 : 8);
	const u32 count = input.below(64);
	const u64 count_at = request.argument + input.below(8) * 4;
	if (input.flag() && UserMemory::holds(count_at, 4))
		std::memcpy(memory.at(count_at), &count, 4);
}

u32 draw_command(Input &input)
{
	const u32 which = input.byte();
	if (which >= 240)
		return input.number();
	const u32 command = kCommands[which % std::size(kCommands)];
	return which >= 220 ? command ^ (1u << input.below(32)) : command;
}

bool is_touched(const Expected &expected, u64 address, u8 value)
{
	if (address >= expected.unknown_from && address < expected.unknown_to)
		return true;
	return std::any_of(expected.writes.begin(), expected.writes.end(),
			   [&](const Expected::Write &write) {
				   const u64 at = address - write.address;
				   return at < write.bytes.size() && write.bytes[at] == value;
			   });
}

// Each byte is as it was, or what some write of the answer has put there.
void check_bytes(const Expected &expected, const std::vector<u8> &before)
{
	if (memory->bytes() == before)
		return;
	for (u64 i = 0; i < before.size(); i++) {
		const u8 value = memory->bytes()[i];
		if (value != before[i])
			HOLDS(is_touched(expected, UserMemory::kBase + i, value));
	}
}

// And nothing of the answer is missing.
void check_answer(const Expected &expected, std::vector<u8> before)
{
	const auto put = [&](u64 address, const u8 *from, u64 bytes) {
		std::memcpy(&before[address - UserMemory::kBase], from, bytes);
	};
	for (const auto &write : expected.writes)
		put(write.address, write.bytes.data(), write.bytes.size());
	if (expected.unknown_to)
		put(expected.unknown_from, memory->at(expected.unknown_from),
		    expected.unknown_to - expected.unknown_from);
	HOLDS(memory->bytes() == before);
}

bool can_be_written(const Expected &expected)
{
	return std::all_of(expected.writes.begin(), expected.writes.end(),
			   [&](const Expected::Write &write) {
				   return memory->is_mapped(write.address, write.bytes.size());
			   });
}

// What was asked for is undone: nobody could be told.
void check_untold(const Script &script, const Expected &expected)
{
	if (script.calls.empty())
		return; // the request could not be read, or has nothing to undo
	HOLDS(!expected.calls.empty() && script.calls[0] == expected.calls[0]);
	switch (script.calls[0].kind) {
	case Call::Kind::Create:
		HOLDS(script.calls.size() == 2);
		HOLDS(script.calls[1].kind == Call::Kind::Destroy);
		HOLDS(script.calls[1].values == values_of(script.id));
		break;
	case Call::Kind::Events:
		HOLDS(script.events->wait(0).ok()); // it came back
		break;
	default:
		HOLDS(script.calls.size() == 1);
	}
}

void check(const Script &script, const Expected &expected, long result, bool no_memory,
	   const std::vector<u8> &before)
{
	HOLDS(admin || memory->accesses() == 0);
	HOLDS(expected.arrays_overlap || !memory->was_read_twice());
	if (no_memory) {
		HOLDS(result == -12);
		HOLDS(memory->bytes() == before);
		return;
	}
	const bool faults = memory->planted_fault_fired() || !can_be_written(expected);
	HOLDS(result == (faults ? -14 : expected.result));
	check_bytes(expected, before);
	if (result == -14)
		return check_untold(script, expected);
	HOLDS(script.calls == expected.calls);
	check_answer(expected, before);
}

} // namespace

int shim_user_read(void *to, shim_u64 address, size_t bytes) noexcept
{
	return memory->read(to, address, bytes);
}

int shim_user_write(shim_u64 address, const void *from, size_t bytes) noexcept
{
	return memory->write(address, from, bytes);
}

int shim_user_is_admin() noexcept
{
	return admin;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
	alignas(blksnap::Control) static unsigned char control[sizeof(blksnap::Control)];
	Input input(data, size);
	const long allocations = fake::live_allocations();
	{
		UserMemory user;
		const Request request{draw_command(input), draw_address(input), input.flag(),
				      input.below(16) != 1};
		fill(input, request, user);
		for (u32 count = input.below(4); count > 0; count--)
			user.unmap(input.byte());
		if (input.below(4) == 1)
			user.fail_access(input.below(32));
		const u32 failing = input.below(4) == 1 ? input.below(8) : 0;
		Script answers(input);
		memory = &user;
		admin = request.admin;
		set_script(&answers);
		fake::set_signal(true); // nobody waits for long
		const auto before = user.bytes();
		const Expected expected = expect(request, answers, user);

		fake::fail_allocation(failing);
		auto result = blksnap::Ioctl(*reinterpret_cast<blksnap::Control *>(control),
					     request.argument, request.compat)
				      .run(request.command);
		const bool no_memory = failing && !fake::fault_is_armed();
		fake::fail_allocation(0);
		const long told = result.ok() ? static_cast<long>(result.value())
					      : -static_cast<long>(result.error());
		check(answers, expected, told, no_memory, before);
	}
	HOLDS(fake::live_allocations() == allocations);
	return 0;
}
