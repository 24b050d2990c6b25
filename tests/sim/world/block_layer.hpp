// SPDX-License-Identifier: GPL-2.0
//
// The block layer: from submit_bio() to bio_endio(), as far as the module can tell the difference.
#pragma once

#include <world/bio.hpp>

namespace sim
{

bio *make_bio(Device &device, Op op, u64 sector, u32 sectors);
// Submits as a task does. The bio passes the hook.
void submit_bio(bio *bio);
// Completes one part of a bio; the last one ends it. Any context.
void end_bio(bio *bio);
void end_bio(bio *bio, int error);
// The parent does not end before the child has.
void chain_bio(bio *child, bio *parent);

// The completions that stand in a part of a chain, and in an admitted bio.
void chain_end_io(bio *bio);
void admitted_end_io(bio *bio);
void redirected_end_io(bio *bio);

// Drivers
void disk_submit(bio *bio);
void disk_resume(Device &disk);
void linear_submit(bio *bio);
void linear_resume(Device &linear);
void remap_submit(bio *bio);
void image_submit(bio *bio);
// Cuts the first `sectors` off: the part is a new bio chained to `bio`, which keeps the rest.
bio *split_bio(bio *bio, u32 sectors);

} // namespace sim
