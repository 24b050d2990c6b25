// SPDX-License-Identifier: GPL-2.0
#include <script/snapshot_images.hpp>

#include <script/ioctl.hpp>
#include <world/report.hpp>

namespace sim
{

namespace
{

// Whether the images are still the snapshot's own. One that somebody else has destroyed leaves its images' numbers to
// the next.
bool still_has(SnapshotModel &snapshot, const std::vector<agent_ioctl::Image> &images)
{
	std::vector<agent_ioctl::Image> now;

	return agent_ioctl::collect_images(snapshot.id, now) == 0 && now.size() == images.size();
}

} // namespace

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
	std::vector<Device *> devices;
	for (const auto &pair : images) {
		devices.push_back(world().find(pair.image.mj, pair.image.mn));
		if (!devices.back() && plan.strict())
			fail("ioctl", "image %u:%u does not exist", pair.image.mj, pair.image.mn);
	}
	if (plan.chaos && !still_has(snapshot, images))
		return false;
	for (std::size_t i = 0; i < images.size(); i++) {
		Device *origin = world().find(images[i].origin.mj, images[i].origin.mn);
		Device *image = devices[i];
		if (!image && !plan.strict())
			return false; // destroyed meanwhile by somebody else
		if (!origin)
			fail("ioctl", "no device %u:%u, of which there is an image",
			     images[i].origin.mj, images[i].origin.mn);
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
