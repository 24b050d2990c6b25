// SPDX-License-Identifier: GPL-2.0
//
// Images: finding those of a snapshot.
#include <blksnap/snapshot.hpp>

#include "abi.hpp"

#include <blksnap/error.hpp>

#include <array>
#include <cerrno>

namespace blksnap
{

namespace
{

constexpr std::array kCollectFailures{
	KnownFailure{ESRCH, "there is no such snapshot",
		     "list the snapshots with blksnap snapshot_collect"},
};

} // namespace

std::string Image::path() const
{
	return "/dev/blksnap-image" + std::to_string(image.minor);
}

std::optional<std::vector<Image>> collect_images(const Control &control, const Uuid &snapshot)
{
	int result = 0;
	const auto infos = abi::collect<blk_snap_image_info>(
		[&](blk_snap_image_info *array, __u32 &count) {
			blk_snap_snapshot_collect_images argument{.id = abi::from(snapshot),
								  .count = count,
								  .image_info_array = array};
			const int answer =
				control.request(IOCTL_BLK_SNAP_SNAPSHOT_COLLECT_IMAGES, &argument);
			count = argument.count;
			return answer;
		},
		ENODATA, result);
	if (result == -ENODEV)
		return std::nullopt;
	if (result < 0)
		fail(-result, "cannot list the images of snapshot", snapshot.to_string(),
		     kCollectFailures);

	std::vector<Image> images;
	images.reserve(infos.size());
	for (const auto &info : infos)
		images.push_back(
			{abi::to_device(info.orig_dev_id), abi::to_device(info.image_dev_id)});
	return images;
}

Image find_image(const Control &control, const Uuid &snapshot, const Device &original)
{
	const auto images = collect_images(control, snapshot);
	if (!images)
		throw Error{ENODEV, "cannot find the image of", original.name,
			    "snapshot " + snapshot.to_string() + " is not taken yet",
			    "take it first, with blksnap snapshot_take"};
	for (const auto &image : *images)
		if (image.original == original.id)
			return image;
	throw Error{ENODEV, "cannot find the image of", original.name,
		    "snapshot " + snapshot.to_string() + " has no such device",
		    "list its images with blksnap snapshot_collect"};
}

} // namespace blksnap
