// SPDX-License-Identifier: GPL-2.0
#include "expected.hpp"

#include <algorithm>

namespace fuzz
{

namespace
{

constexpr long kPerm = -1, kNoEnt = -2, kSrch = -3, kIntr = -4, kFault = -14, kInval = -22,
	       kNoTty = -25, kNoData = -61, kNoBufs = -105;
constexpr u32 kMostDevices = 4096;
constexpr u32 kMostRanges = 256 * 1024;

class Reader
{
public:
	Reader(const Request &request, const Script &script, const UserMemory &memory)
		: request_(request), script_(script), memory_(memory)
	{
	}
	Expected expect();

private:
	using Kind = Call::Kind;

	// --- the argument ---
	// False: it is not there.
	bool argument(u64 native_bytes, u64 compat_bytes);
	u32 word(u64 offset) const { return number<u32>(request_.argument + offset); }
	u64 pointer(u64 native_offset, u64 compat_offset) const
	{
		return request_.compat ? word(compat_offset)
				       : number<u64>(request_.argument + native_offset);
	}
	// False: it is not there.
	bool array(u64 address, u64 bytes);
	template <class T> T number(u64 address) const
	{
		T value;
		std::memcpy(&value, memory_.at(address), sizeof(value));
		return value;
	}
	void append_id(Call &call, u64 offset) const;
	void append_words(Call &call, u64 address, u64 count) const;
	void append_wides(Call &call, u64 address, u64 count) const;

	// --- the answer ---
	std::vector<u8> copy_of_argument() const;
	template <class T> static void put(std::vector<u8> &bytes, std::size_t at, const T &value)
	{
		std::memcpy(&bytes[at], &value, sizeof(value));
	}
	void write(u64 address, std::vector<u8> bytes)
	{
		if (!bytes.empty())
			expected_.writes.push_back({address, std::move(bytes)});
	}
	Expected fails(long result)
	{
		expected_.result = result;
		return std::move(expected_);
	}
	Expected succeeds() { return fails(script_.error ? -script_.error : 0); }

	Expected with_id(Kind kind);
	Expected remove_tracker();
	Expected collect_trackers();
	Expected read_map();
	Expected mark_dirty();
	Expected create();
	Expected append();
	Expected collect_snapshots();
	Expected collect_images();
	Expected wait_event();
	Expected list(u64 count_at, u64 array, std::vector<std::vector<u8>> items, long too_many);
	std::vector<u8> tracker(const blksnap::Control::TrackerInfo &info) const;

	const Request &request_;
	const Script &script_;
	const UserMemory &memory_;
	u64 bytes_ = 0; // of the argument
	Expected expected_;
};

bool Reader::argument(u64 native_bytes, u64 compat_bytes)
{
	bytes_ = request_.compat ? compat_bytes : native_bytes;
	return memory_.is_mapped(request_.argument, bytes_);
}

bool Reader::array(u64 address, u64 bytes)
{
	expected_.arrays_overlap =
		address < request_.argument + bytes_ && request_.argument < address + bytes;
	return memory_.is_mapped(address, bytes);
}

void Reader::append_id(Call &call, u64 offset) const
{
	append_wides(call, request_.argument + offset, 2);
}

void Reader::append_words(Call &call, u64 address, u64 count) const
{
	for (u64 i = 0; i < count; i++)
		call.values.push_back(number<u32>(address + 4 * i));
}

void Reader::append_wides(Call &call, u64 address, u64 count) const
{
	for (u64 i = 0; i < count; i++)
		call.values.push_back(number<u64>(address + 8 * i));
}

std::vector<u8> Reader::copy_of_argument() const
{
	const u8 *begin = memory_.at(request_.argument);
	return {begin, begin + bytes_};
}

Expected Reader::with_id(Kind kind)
{
	if (!argument(16, 16))
		return fails(kFault);
	Call call{kind, {}};
	append_id(call, 0);
	expected_.calls.push_back(call);
	return succeeds();
}

Expected Reader::remove_tracker()
{
	if (!argument(8, 8))
		return fails(kFault);
	expected_.calls.push_back({Kind::RemoveTracker, {word(0), word(4)}});
	return succeeds();
}

// What lists things tells how many there are, and fills the array if it has room for all of them.
Expected Reader::list(u64 count_at, u64 array, std::vector<std::vector<u8>> items, long too_many)
{
	const u32 room = word(count_at);
	auto answer = copy_of_argument();
	put(answer, count_at, static_cast<u32>(items.size()));
	if (!request_.compat)
		put(answer, count_at + 4, u32{0}); // a hole
	if (array && room >= items.size()) {
		std::vector<u8> all;
		for (const auto &item : items)
			all.insert(all.end(), item.begin(), item.end());
		write(array, std::move(all));
	}
	write(request_.argument, std::move(answer));
	return fails(array && room < items.size() ? too_many : 0);
}

std::vector<u8> Reader::tracker(const blksnap::Control::TrackerInfo &info) const
{
	const bool compat = request_.compat;
	std::vector<u8> bytes(compat ? 44 : 48);
	put(bytes, 0, info.device.major);
	put(bytes, 4, info.device.minor);
	put(bytes, 8, info.cbt.block_bytes);
	put(bytes, compat ? 12 : 16, info.cbt.capacity_bytes);
	put(bytes, compat ? 20 : 24, info.cbt.blocks);
	put(bytes, compat ? 24 : 28, info.cbt.generation_id.bytes);
	put(bytes, compat ? 40 : 44, info.cbt.snap_number);
	return bytes;
}

Expected Reader::collect_trackers()
{
	if (!argument(16, 8))
		return fails(kFault);
	expected_.calls.push_back({Kind::CollectTrackers, {}});
	if (script_.error)
		return succeeds();
	std::vector<std::vector<u8>> items;
	for (const auto &info : script_.trackers)
		items.push_back(tracker(info));
	return list(0, pointer(8, 4), std::move(items), kNoBufs);
}

Expected Reader::read_map()
{
	if (!argument(24, 20))
		return fails(kFault);
	const u32 offset = word(8);
	const u32 length = word(12);
	if (script_.error)
		return succeeds();
	if (offset > script_.map.size())
		return fails(kInval);
	const auto begin = script_.map.begin() + offset;
	const u64 bytes = std::min<u64>(length, script_.map.size() - offset);
	write(pointer(16, 16), {begin, begin + static_cast<std::ptrdiff_t>(bytes)});
	return fails(static_cast<long>(bytes));
}

Expected Reader::mark_dirty()
{
	if (!argument(24, 16))
		return fails(kFault);
	const u32 count = word(8);
	const u64 ranges = pointer(16, 12);
	if (count > kMostRanges)
		return fails(kInval);
	if (!array(ranges, u64{count} * 16))
		return fails(kFault);
	Call call{Kind::MarkDirty, {word(0), word(4)}};
	append_wides(call, ranges, u64{count} * 2);
	expected_.calls.push_back(call);
	return succeeds();
}

Expected Reader::create()
{
	if (!argument(32, 24))
		return fails(kFault);
	const u32 count = word(0);
	const u64 devices = pointer(8, 4);
	if (count == 0 || count > kMostDevices)
		return fails(kInval);
	if (!array(devices, u64{count} * 8))
		return fails(kFault);
	Call call{Kind::Create, {}};
	append_words(call, devices, u64{count} * 2);
	expected_.calls.push_back(call);
	if (script_.error)
		return succeeds();
	auto answer = copy_of_argument();
	if (!request_.compat)
		put(answer, 4, u32{0});
	put(answer, request_.compat ? 8 : 16, script_.id.bytes);
	write(request_.argument, std::move(answer));
	return fails(0);
}

Expected Reader::append()
{
	if (!argument(40, 32))
		return fails(kFault);
	const u32 count = word(24);
	const u64 ranges = pointer(32, 28);
	if (count > kMostRanges)
		return fails(kInval);
	if (!array(ranges, u64{count} * 16))
		return fails(kFault);
	Call call{Kind::Append, {}};
	append_id(call, 0);
	append_words(call, request_.argument + 16, 2);
	append_wides(call, ranges, u64{count} * 2);
	expected_.calls.push_back(call);
	return succeeds();
}

Expected Reader::collect_snapshots()
{
	if (!argument(16, 8))
		return fails(kFault);
	expected_.calls.push_back({Kind::CollectSnapshots, {}});
	if (script_.error)
		return succeeds();
	std::vector<std::vector<u8>> items;
	for (const auto &id : script_.snapshots)
		items.emplace_back(id.bytes, id.bytes + 16);
	return list(0, pointer(8, 4), std::move(items), kNoData);
}

Expected Reader::collect_images()
{
	if (!argument(32, 24))
		return fails(kFault);
	Call call{Kind::CollectImages, {}};
	append_id(call, 0);
	expected_.calls.push_back(call);
	if (script_.error)
		return succeeds();
	std::vector<std::vector<u8>> items;
	for (const auto &image : script_.images) {
		std::vector<u8> bytes(16);
		put(bytes, 0, image.origin.major);
		put(bytes, 4, image.origin.minor);
		put(bytes, 8, image.image.major);
		put(bytes, 12, image.image.minor);
		items.push_back(bytes);
	}
	return list(16, pointer(24, 20), std::move(items), kNoData);
}

// Only what comes before the answer is read: the rest of the page need not be set.
Expected Reader::wait_event()
{
	if (!argument(20, 20))
		return fails(kFault);
	Call call{Kind::Events, {}};
	append_id(call, 0);
	expected_.calls.push_back(call);
	if (script_.error)
		return succeeds();
	if (script_.events_closed)
		return fails(kSrch);
	if (script_.pending.empty())
		return fails(word(16) ? kIntr : kNoEnt);
	const auto &event = script_.pending.front();
	const bool corrupted = event.kind == blksnap::Event::Kind::Corrupted;
	std::vector<u8> answer = copy_of_argument();
	answer.resize(4096);
	put(answer, 20, u32{corrupted});
	if (corrupted) {
		put(answer, 32, event.device_major);
		put(answer, 36, event.device_minor);
		put(answer, 40, static_cast<u32>(event.error));
	} else {
		put(answer, 32, event.requested_sectors);
	}
	expected_.unknown_from = request_.argument + 24;
	expected_.unknown_to = request_.argument + 32;
	write(request_.argument, std::move(answer));
	return fails(0);
}

Expected Reader::expect()
{
	if (!request_.admin)
		return fails(kPerm);
	switch (request_.command) {
	case 0x40085600:
		write(request_.argument, {1, 0, 0, 0, 0, 0, 0, 0});
		return fails(0);
	case 0x40085601:
		return remove_tracker();
	case 0x80105606:
		return with_id(Kind::Destroy);
	case 0x80105608:
		return with_id(Kind::Take);
	case 0x5000560b:
		return wait_event();
	}
	switch (request_.command) {
	case 0x40105602:
	case 0x40085602:
		if (request_.compat == (request_.command == 0x40085602))
			return collect_trackers();
		break;
	case 0x80185603:
	case 0x80145603:
		if (request_.compat == (request_.command == 0x80145603))
			return read_map();
		break;
	case 0x80185604:
	case 0x80105604:
		if (request_.compat == (request_.command == 0x80105604))
			return mark_dirty();
		break;
	case 0x40205605:
	case 0x40185605:
		if (request_.compat == (request_.command == 0x40185605))
			return create();
		break;
	case 0x40285607:
	case 0x40205607:
		if (request_.compat == (request_.command == 0x40205607))
			return append();
		break;
	case 0x40105609:
	case 0x40085609:
		if (request_.compat == (request_.command == 0x40085609))
			return collect_snapshots();
		break;
	case 0x4020560a:
	case 0x4018560a:
		if (request_.compat == (request_.command == 0x4018560a))
			return collect_images();
		break;
	}
	return fails(kNoTty);
}

} // namespace

Expected expect(const Request &request, const Script &script, const UserMemory &memory)
{
	return Reader(request, script, memory).expect();
}

} // namespace fuzz
