// SPDX-License-Identifier: GPL-2.0
//
// The C interface to sessions.
#include "c_guard.hpp"

#include <blksnap/file_extents.hpp>
#include <blksnap/snapshot_session.hpp>

struct blksnap_session {
	blksnap::SnapshotSession session;
};

using namespace blksnap;
using namespace blksnap::c_api;

namespace
{

SnapshotSession::OnEvent caller_of(blksnap_on_event on_event, void *context)
{
	if (!on_event)
		return {};
	return [on_event, context](const Event &event) {
		const auto converted = to_c(event);
		on_event(&converted, context);
	};
}

} // namespace

int blksnap_session_create(struct blksnap_control *control, const struct blksnap_device *devices,
			   size_t count, blksnap_on_event on_event, void *context,
			   struct blksnap_session **session)
{
	return guarded([&] {
		const auto originals = named(devices, count);
		*session = new blksnap_session{
			{control->control, originals, caller_of(on_event, context)}};
		return 0;
	});
}

void blksnap_session_destroy(struct blksnap_session *session)
{
	delete session;
}

void blksnap_session_id(const struct blksnap_session *session, struct blksnap_id *id)
{
	*id = to_c(session->session.id());
}

int blksnap_session_append_ranges(struct blksnap_session *session,
				  const struct blksnap_device *device,
				  const struct blksnap_range *ranges, size_t count)
{
	return guarded([&] {
		session->session.append_storage(named(*device), from_c(ranges, count));
		return 0;
	});
}

int blksnap_session_append_file(struct blksnap_session *session, const char *path)
{
	return guarded([&] {
		const auto extents = find_file_extents(path, ExtentUse::Storage);
		session->session.append_storage(extents.device, extents.ranges);
		return 0;
	});
}

int blksnap_session_take(struct blksnap_session *session)
{
	return guarded([&] {
		session->session.take();
		return 0;
	});
}

int blksnap_session_image(const struct blksnap_session *session,
			  const struct blksnap_device *original, struct blksnap_device *image)
{
	return guarded([&] {
		*image = to_c(session->session.image_of(named(*original)).image);
		return 0;
	});
}
