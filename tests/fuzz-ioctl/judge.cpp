// SPDX-License-Identifier: GPL-2.0
//
// Answers: what may be written is written as documented, each byte of it accounted for; nothing else is.
#include "call.hpp"

#include <blksnap_compat.h>

#include <cerrno>
#include <ctime>

namespace
{

constexpr int kLastErrno = 133; // EHWPOISON; what is above is the kernel's own

struct Given {
	std::size_t offset = Arena::kBytes;
	bool whole = false; // The argument lies in the arena.
	std::uint32_t count = 0;
	std::uint64_t pointer = 0;
};

template <class T> T load(const unsigned char *from)
{
	T value;
	memcpy(&value, from, sizeof(value));
	return value;
}

Given decode(const Call &call, const Arena &arena)
{
	const Layout &layout = call.layout();
	const std::uint64_t address =
		call.abi == Abi::Native ? call.argument : static_cast<std::uint32_t>(call.argument);
	Given given;

	given.offset = arena.offset_of(address);
	given.whole = given.offset + layout.bytes <= Arena::kBytes;
	if (!given.whole)
		return given;
	const unsigned char *argument = arena.given(given.offset);
	if (layout.count != kAbsent)
		given.count = load<std::uint32_t>(argument + layout.count);
	if (layout.pointer != kAbsent)
		given.pointer = call.abi == Abi::Native
					? load<std::uint64_t>(argument + layout.pointer)
					: load<std::uint32_t>(argument + layout.pointer);
	return given;
}

Span clipped(std::size_t begin, std::uint64_t bytes)
{
	return {begin, begin + std::min<std::uint64_t>(bytes, Arena::kBytes - begin)};
}

bool collects(unsigned request)
{
	return request == kTrackerCollect || request == kCollect || request == kCollectImages;
}

// The part of the argument that may have changed.
Span argument_answer(const Call &call, const Given &given, int result)
{
	const bool told = result >= 0 || result == -EFAULT;

	switch (call.request) {
	case kVersion:
	case kCreate:
		return told ? clipped(given.offset, call.layout().bytes) : Span{};
	case kTrackerCollect:
		return told || result == -ENOBUFS ? clipped(given.offset, call.layout().bytes)
						  : Span{};
	case kCollect:
	case kCollectImages:
		return told || result == -ENODATA ? clipped(given.offset, call.layout().bytes)
						  : Span{};
	case kWaitEvent:
		return told ? clipped(given.offset, call.layout().bytes) : Span{};
	default:
		return {};
	}
}

// The part of the array that may have changed.
Span array_answer(const Call &call, const Given &given, int result, const Arena &arena)
{
	const std::size_t begin = arena.offset_of(given.pointer);

	if (!given.whole || begin == Arena::kBytes)
		return {};
	if (call.request == kReadCbtMap)
		return clipped(begin, result >= 0	  ? static_cast<unsigned>(result)
				      : result == -EFAULT ? given.count
							  : 0);
	if (!collects(call.request))
		return {};
	if (result == -EFAULT)
		return clipped(begin, std::uint64_t{given.count} * call.layout().element_bytes);
	const auto count = load<std::uint32_t>(arena.at(given.offset) + call.layout().count);
	if (result || count > given.count)
		return {};
	return clipped(begin, std::uint64_t{count} * call.layout().element_bytes);
}

bool zero(const void *from, std::size_t bytes)
{
	for (std::size_t i = 0; i < bytes; i++)
		if (static_cast<const unsigned char *>(from)[i])
			return false;
	return true;
}

// Between two fields.
bool hole_is_zero(const unsigned char *structure, std::size_t end_of_field, std::size_t next)
{
	return zero(structure + end_of_field, next - end_of_field);
}

// Identifiers are random, but for the version 4 and the variant of RFC 4122.
bool is_uuid(const blk_snap_uuid &id)
{
	return (id.b[6] & 0xf0) == 0x40 && (id.b[8] & 0xc0) == 0x80;
}

template <class Info> const char *judge_tracker(const unsigned char *from, const World &world)
{
	const auto info = load<Info>(from);
	const Device *device = world.find(info.dev_id);

	if (!device)
		return "a tracker of a device that nobody gave";
	if (info.device_capacity != device->sectors * 512)
		return "a tracker of another size";
	if (info.blk_size < 512 || (info.blk_size & (info.blk_size - 1)))
		return "no size of a tracking block";
	if (info.blk_count != (info.device_capacity + info.blk_size - 1) / info.blk_size)
		return "another number of tracking blocks";
	if (!is_uuid(info.generation_id))
		return "no identifier of a generation";
	if (!hole_is_zero(from, offsetof(Info, blk_size) + 4, offsetof(Info, device_capacity)) ||
	    !hole_is_zero(from, offsetof(Info, snap_number) + 1, sizeof(Info)))
		return "a hole of a tracker";
	return nullptr;
}

const char *judge_image(const unsigned char *from, const World &world)
{
	const auto info = load<blk_snap_image_info>(from);

	if (!world.find(info.orig_dev_id))
		return "an image of a device that nobody gave";
	if (info.image_dev_id.mj != world.image_major || info.image_dev_id.mn >= 1u << 20)
		return "no number of an image";
	return nullptr;
}

const char *judge_element(const Call &call, const unsigned char *from, const World &world)
{
	switch (call.request) {
	case kTrackerCollect:
		return call.abi == Abi::Native
			       ? judge_tracker<blk_snap_cbt_info>(from, world)
			       : judge_tracker<blk_snap_compat_cbt_info>(from, world);
	case kCollect:
		return is_uuid(load<blk_snap_uuid>(from)) ? nullptr : "no identifier of a snapshot";
	case kCollectImages:
		return judge_image(from, world);
	default:
		return nullptr;
	}
}

const char *judge_event(const unsigned char *from, const World &world)
{
	const auto event = load<blk_snap_snapshot_event>(from);
	timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (event.time_label <= 0 ||
	    event.time_label > std::int64_t{now.tv_sec} * 1000000000 + now.tv_nsec)
		return "an event of no time";
	if (event.code == blk_snap_event_code_low_free_space)
		return zero(event.data + 8, sizeof(event.data) - 8) ? nullptr
								    : "data beyond an event";
	if (event.code != blk_snap_event_code_corrupted)
		return "an event of no kind";
	const auto data = load<blk_snap_event_corrupted>(event.data);
	if (!world.find(data.orig_dev_id) || data.err_code <= 0 || data.err_code > kLastErrno)
		return "a loss of nothing";
	return zero(event.data + 12, sizeof(event.data) - 12) ? nullptr : "data beyond an event";
}

// The content of answers that do not lie on one another.
const char *judge_content(const Call &call, const Given &given, const Span &array,
			  const World &world, const Arena &arena, std::size_t &where)
{
	const unsigned char *argument = arena.at(given.offset);
	const Layout &layout = call.layout();

	where = given.offset;
	if (call.request == kWaitEvent)
		return judge_event(argument, world);
	if (call.request == kCreate && !is_uuid(load<blk_snap_uuid>(argument + layout.id)))
		return "no identifier of a snapshot";
	if ((call.request == kCreate || collects(call.request)) &&
	    !hole_is_zero(argument, static_cast<std::size_t>(layout.count) + 4,
			  static_cast<std::size_t>(layout.pointer)))
		return "a hole of the argument";
	if (!collects(call.request))
		return nullptr;
	for (where = array.begin; where + layout.element_bytes <= array.end;
	     where += layout.element_bytes)
		if (const char *wrong = judge_element(call, arena.at(where), world))
			return wrong;
	return nullptr;
}

// Each byte is the number of a snapshot that was.
const char *judge_map(const Call &call, const Given &given, int result, const Span &map,
		      const Arena &arena, std::size_t &where)
{
	if (result > 0 && static_cast<unsigned>(result) > given.count)
		return "more than asked for";
	for (where = map.begin; result > 0 && where < map.end; where++)
		if (*arena.at(where) > call.largest_number)
			return "a number that no snapshot had";
	return nullptr;
}

} // namespace

Answer answer_of(const Call &call, int result, const Arena &arena)
{
	if (call.request == kRequests)
		return {};
	const Given given = decode(call, arena);
	return {argument_answer(call, given, result), array_answer(call, given, result, arena)};
}

const char *judge(const Call &call, int result, const World &world, const Arena &arena,
		  std::size_t &where)
{
	const Answer answer = answer_of(call, result, arena);

	where = arena.changed_outside(answer.argument, answer.array);
	if (where != Arena::kBytes)
		return "wrote where nothing is to be written";
	if (call.request == kRequests)
		return result == -ENOTTY ? nullptr : "knows what is no request";
	if (result < 0 && !is_documented(call.request, -result))
		return "an errno that is not documented";
	const Given given = decode(call, arena);
	if (call.request == kReadCbtMap)
		return judge_map(call, given, result, answer.array, arena, where);
	if (result > 0)
		return "a positive result";
	const bool apart = answer.array.end <= answer.argument.begin ||
			   answer.array.begin >= answer.argument.end;
	return result == 0 && apart ? judge_content(call, given, answer.array, world, arena, where)
				    : nullptr;
}
