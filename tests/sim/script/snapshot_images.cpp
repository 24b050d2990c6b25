// SPDX-License-Identifier: GPL-2.0
#include <script/snapshot_images.hpp>

#include <script/ioctl.hpp>
#include <world/report.hpp>

namespace sim
{

bool find_images(const Plan &plan, SnapshotModel &snapshot)
{
	std::vector<agent_ioctl::Image> images;
	const long result = agent_ioctl::collect_images(snapshot.id, images);
	if (result && plan.strict())
		fail("ioctl", "collect_images gives %ld, and nothing went wrong", result);
	if (result)
		return false;
	if (images.size() != snapshot.origins.size())
		fail("ioctl", "%zu images of %zu devices", images.size(), snapshot.origins.size());
	for (const auto &pair : images) {
		Device *origin = world().find(pair.origin.mj, pair.origin.mn);
		Device *image = world().find(pair.image.mj, pair.image.mn);
		if (!image && !plan.strict())
			return false; // destroyed meanwhile by somebody else
		if (!origin || !image)
			fail("ioctl", "image %u:%u of %u:%u does not exist", pair.image.mj,
			     pair.image.mn, pair.origin.mj, pair.origin.mn);
		if (image->sectors != origin->sectors && origin->changed < snapshot.take_begin)
			fail("ioctl", "%s has %llu sectors, its origin %llu", image->name.c_str(),
			     (unsigned long long)image->sectors,
			     (unsigned long long)origin->sectors);
		snapshot.images.push_back(std::make_unique<ImageModel>(snapshot, *origin, *image));
		if (origin->bottom()->exchanged > snapshot.take_begin)
			snapshot.images.back()->exchanged = true;
	}
	snapshot.deliver_early();
	return true;
}

} // namespace sim
