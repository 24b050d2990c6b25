// SPDX-License-Identifier: GPL-2.0
//
// Script: what the control will answer, and what it was asked.
#pragma once

#include "../input.hpp"

#include <blksnap/core/control.hpp>
#include <memory>

namespace fuzz
{

// What reaches the control of a request.
struct Call {
	enum class Kind {
		RemoveTracker,
		CollectTrackers,
		MarkDirty,
		Create,
		Destroy,
		Append,
		Take,
		CollectSnapshots,
		CollectImages,
		Events,
	};

	Kind kind;
	std::vector<u64> values; // all that was passed, in order

	bool operator==(const Call &) const = default;
};

struct Script {
	explicit Script(Input &input);

	int error = 0; // what the control answers; 0: success
	std::vector<blksnap::Control::TrackerInfo> trackers;
	std::vector<u8> map; // of the device that is asked for
	std::vector<blksnap::Uuid> snapshots;
	std::vector<blksnap::Control::ImageInfo> images;
	blksnap::Uuid id; // of what is created
	blksnap::Ref<blksnap::EventQueue> events;
	std::vector<blksnap::Event> pending; // in the order in which they will be told
	bool events_closed = false;

	std::vector<Call> calls; // all but those that read the map
};

Script &script();
void set_script(Script *script);

std::vector<u64> values_of(const blksnap::Uuid &id);

} // namespace fuzz
