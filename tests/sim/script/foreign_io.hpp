// SPDX-License-Identifier: GPL-2.0
//
// ForeignIo: one request of somebody else, to an origin or to an image, checked when it ends.
#pragma once

#include <memory>
#include <oracle/image_model.hpp>
#include <vector>
#include <world/block_layer.hpp>
#include <world/fiber.hpp>

namespace sim
{

class ForeignIo
{
public:
	ForeignIo(Device &device, Op op, u64 sector, u32 sectors, ImageModel *image = nullptr);
	ForeignIo(const ForeignIo &) = delete;
	~ForeignIo();

	void set_nowait() { bio_->nowait = true; }
	// The submitter cuts off the first `sectors` and chains them, as file systems do. Before
	// submit().
	void chain(u32 sectors);
	// What the device must answer if it answers without an injected error.
	void expect_error(int error) { expected_ = error; }
	void submit();
	void wait();
	bool done() const { return done_; }
	int status() const { return status_; }
	const std::vector<u64> &data() const { return data_; }

private:
	static void end_io(bio *bio);
	void finish();
	void check_origin_result();
	void check_image_result();

	Device &device_;
	Op op_;
	u64 sector_;
	u32 sectors_;
	ImageModel *image_;
	bio *bio_;
	bio *part_ = nullptr;
	std::vector<u64> data_;
	u64 write_ = 0;
	u64 begin_ = 0;
	int expected_ = 0;
	int status_ = 0;
	bool done_ = false;
	Fiber *waiter_ = nullptr;
};

} // namespace sim
