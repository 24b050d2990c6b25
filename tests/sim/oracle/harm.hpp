// SPDX-License-Identifier: GPL-2.0
//
// Harm: what went wrong in a history that may cost an image, or a request to one.
//
// Each harm excuses one error, as uapi.rst has them, and only of those images whose device or store it was done
// to, since their take. Nothing else may be lost.
#pragma once

#include <vector>
#include <world/bio.hpp>

namespace sim
{

class ImageModel;

class Harm
{
public:
	// A request that moves data of the core has failed, or a part of it.
	void on_core_io_failed(const bio &bio);
	// An allocation that may wait was refused.
	void on_refusal();

	// Return: whether something explains a loss with `error`.
	bool explains_loss(const ImageModel &image, int error) const;
	// Likewise a loss of which nothing is known but that requests fail.
	bool explains_loss(const ImageModel &image) const;
	// Return: whether something since `begin` explains that a request fails, though the image is not lost.
	bool explains_failure(const ImageModel &image, u64 begin, int status) const;

private:
	struct FailedIo {
		const Device *disk; // bottom
		u64 sector;
		u64 sectors;
		bool read;
		CoreUse use;
		u64 order;
	};
	static bool is_on_origin(const FailedIo &io, const ImageModel &image);
	static bool is_in_store(const FailedIo &io, const ImageModel &image);
	bool has_failed_io(const ImageModel &image, CoreUse use, u64 since) const;

	std::vector<FailedIo> failed_;
	u64 last_refusal_ = 0; // order number
};

} // namespace sim
