// SPDX-License-Identifier: GPL-2.0
//
// The control as a script plays it: it remembers what it is asked, and answers what the script says.
#include "script.hpp"

#include <algorithm>
#include <cstring>

namespace fuzz
{

using namespace blksnap;

namespace
{

Script *playing;

Uuid draw_uuid(Input &input)
{
	Uuid id;
	for (auto &byte : id.bytes)
		byte = input.byte();
	return id;
}

void fill_events(Script &script, Input &input)
{
	auto created = EventQueue::create(script.id, 3);
	HOLDS(created.ok());
	script.events = created.release_value();
	for (u32 count = input.below(4); count > 0; count--) {
		Event event;
		if (input.flag()) {
			event.requested_sectors = input.wide();
			script.events->post_low_free_space(event.requested_sectors);
		} else {
			event.kind = Event::Kind::Corrupted;
			event.device_major = input.number();
			event.device_minor = input.number();
			event.error = Errno::NoSpc;
			script.events->post_corrupted(event.device_major, event.device_minor,
						      event.error);
		}
		// Each kind, and each device, only once.
		const bool known = std::any_of(
			script.pending.begin(), script.pending.end(), [&](const Event &other) {
				return other.kind == event.kind &&
				       other.device_major == event.device_major &&
				       other.device_minor == event.device_minor;
			});
		if (!known)
			script.pending.push_back(event);
		else if (event.kind == Event::Kind::LowFreeSpace)
			for (Event &other : script.pending)
				if (other.kind == event.kind)
					other.requested_sectors = std::max(other.requested_sectors,
									   event.requested_sectors);
	}
	script.events_closed = input.below(8) == 7;
	if (script.events_closed)
		script.events->close();
}

template <class... Values> void note(Call::Kind kind, const Values &...values)
{
	Call call{kind, {}};
	[[maybe_unused]] const auto add = [&](const auto &value) {
		using Value = std::decay_t<decltype(value)>;
		if constexpr (std::is_same_v<Value, Uuid>) {
			const auto words = values_of(value);
			call.values.insert(call.values.end(), words.begin(), words.end());
		} else if constexpr (std::is_same_v<Value, DeviceNumber>) {
			call.values.push_back(value.major);
			call.values.push_back(value.minor);
		} else {
			call.values.push_back(value);
		}
	};
	(add(values), ...);
	playing->calls.push_back(std::move(call));
}

template <class T> void note_more(const T &value)
{
	playing->calls.back().values.push_back(value);
}

Result<void> answer()
{
	return playing->error ? Result<void>(static_cast<Errno>(playing->error)) : Result<void>();
}

} // namespace

Script::Script(Input &input)
{
	static constexpr int kErrors[] = {0, 0, 0, 0, 3, 16, 19, 61};
	error = kErrors[input.below(8)];
	id = draw_uuid(input);
	for (u32 count = input.below(24); count > 0; count--) {
		Control::TrackerInfo info;
		info.device = {input.byte(), input.byte()};
		info.cbt = {input.number(), input.number(), input.wide(), id, input.byte()};
		info.cbt.generation_id.bytes[0] = input.byte();
		trackers.push_back(info);
	}
	for (u32 count = input.below(24); count > 0; count--) {
		snapshots.push_back(id);
		snapshots.back().bytes[count % 16] = input.byte();
	}
	for (u32 count = input.below(24); count > 0; count--)
		images.push_back({{input.byte(), count}, {count, input.byte()}});
	map.resize(input.telling(64 * 1024) % (140 * 1024));
	for (std::size_t i = 0; i < map.size(); i++)
		map[i] = static_cast<u8>(i + i / 251);
	fill_events(*this, input);
}

Script &script()
{
	return *playing;
}

void set_script(Script *script)
{
	playing = script;
}

std::vector<u64> values_of(const Uuid &id)
{
	std::vector<u64> words(2);
	std::memcpy(words.data(), id.bytes, sizeof(id.bytes));
	return words;
}

} // namespace fuzz

// --- the control -------------------------------------------------------------------------------

namespace blksnap
{

using fuzz::Call;
using fuzz::note;
using fuzz::note_more;

Result<void> Control::remove_tracker(DeviceNumber number)
{
	note(Call::Kind::RemoveTracker, number);
	return fuzz::answer();
}

Result<void> Control::collect_trackers(Vector<TrackerInfo> &out)
{
	note(Call::Kind::CollectTrackers);
	TRY(fuzz::answer());
	for (const TrackerInfo &info : fuzz::script().trackers)
		TRY(out.push_back(info));
	return {};
}

Result<u32> Control::read_cbt(DeviceNumber, u32 offset, u32 length, u8 *to)
{
	const auto &map = fuzz::script().map;

	TRY(fuzz::answer());
	if (offset > map.size())
		return Errno::Inval;
	const auto bytes = static_cast<u32>(std::min<std::size_t>(length, map.size() - offset));
	std::copy_n(map.begin() + offset, bytes, to);
	return u32{bytes};
}

Result<void> Control::mark_dirty(DeviceNumber number, Vector<SectorRange> &ranges)
{
	note(Call::Kind::MarkDirty, number);
	for (const SectorRange &range : ranges) {
		note_more(range.first);
		note_more(range.count);
	}
	return fuzz::answer();
}

Result<Uuid> Control::create_snapshot(const Vector<DeviceNumber> &numbers)
{
	note(Call::Kind::Create);
	for (const DeviceNumber &number : numbers) {
		note_more(number.major);
		note_more(number.minor);
	}
	TRY(fuzz::answer());
	return Uuid{fuzz::script().id};
}

Result<void> Control::destroy_snapshot(const Uuid &id)
{
	note(Call::Kind::Destroy, id);
	return fuzz::answer();
}

Result<void> Control::append_storage(const Uuid &id, DeviceNumber number,
				     const Vector<DiffStorage::GivenRange> &ranges)
{
	note(Call::Kind::Append, id, number);
	for (const auto &range : ranges) {
		note_more(range.sector);
		note_more(range.sectors);
	}
	return fuzz::answer();
}

Result<void> Control::take_snapshot(const Uuid &id)
{
	note(Call::Kind::Take, id);
	return fuzz::answer();
}

Result<void> Control::collect_snapshots(Vector<Uuid> &out)
{
	note(Call::Kind::CollectSnapshots);
	TRY(fuzz::answer());
	for (const Uuid &id : fuzz::script().snapshots)
		TRY(out.push_back(id));
	return {};
}

Result<void> Control::collect_images(const Uuid &id, Vector<ImageInfo> &out)
{
	note(Call::Kind::CollectImages, id);
	TRY(fuzz::answer());
	for (const ImageInfo &image : fuzz::script().images)
		TRY(out.push_back(image));
	return {};
}

Result<Ref<EventQueue>> Control::events(const Uuid &id)
{
	note(Call::Kind::Events, id);
	TRY(fuzz::answer());
	return Ref<EventQueue>(*fuzz::script().events);
}

} // namespace blksnap
