// SPDX-License-Identifier: GPL-2.0
//
// What the functions of the C interface share: no exception leaves them, and the last error of a
// thread keeps its words.
#ifndef BLKSNAP_C_GUARD_HPP
#define BLKSNAP_C_GUARD_HPP

#include <blksnap/blksnap_c.h>

#include <blksnap/control.hpp>
#include <blksnap/error.hpp>
#include <blksnap/event.hpp>
#include <blksnap/sector_range.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <span>
#include <vector>

struct blksnap_control {
	blksnap::Control control;
};

namespace blksnap::c_api
{

// Keeps the words for blksnap_error(). Return: the negative errno.
int remember(int code, const char *line) noexcept;

template <typename Call> int guarded(Call call) noexcept
{
	try {
		return call();
	} catch (const Error &error) {
		// A code of 0 would be taken for success.
		return remember(error.code() > 0 ? error.code() : EIO, error.what());
	} catch (const std::bad_alloc &) {
		return remember(ENOMEM, "out of memory; free some and try again");
	} catch (const std::exception &error) {
		return remember(EIO, error.what());
	} catch (...) {
		return remember(EIO, "unknown error");
	}
}

inline DeviceId from_c(const blksnap_device &device)
{
	return {device.major, device.minor};
}

inline blksnap_device to_c(const DeviceId &id)
{
	return {id.major, id.minor};
}

inline Device named(const blksnap_device &device)
{
	const auto id = from_c(device);
	return {id, device_name(id)};
}

inline std::vector<Device> named(const blksnap_device *devices, std::size_t count)
{
	std::vector<Device> result;
	for (const auto &device : std::span{devices, count})
		result.push_back(named(device));
	return result;
}

inline std::vector<SectorRange> from_c(const blksnap_range *ranges, std::size_t count)
{
	std::vector<SectorRange> result;
	for (const auto &range : std::span{ranges, count})
		result.push_back({range.offset, range.count});
	return result;
}

inline Uuid from_c(const blksnap_id &id)
{
	Uuid uuid;
	std::copy(std::begin(id.bytes), std::end(id.bytes), uuid.bytes.begin());
	return uuid;
}

inline blksnap_id to_c(const Uuid &uuid)
{
	blksnap_id id{};
	std::copy(uuid.bytes.begin(), uuid.bytes.end(), id.bytes);
	return id;
}

blksnap_event to_c(const Event &event);

// Hands @items over as an array that blksnap_free() releases; never null, also if it is empty.
template <typename C, typename T>
void give(const std::vector<T> &items, C **array, std::size_t *count, C (*convert)(const T &))
{
	void *const memory = std::calloc(items.size() + 1, sizeof(C));
	if (!memory)
		throw std::bad_alloc{};
	*array = static_cast<C *>(memory);
	*count = items.size();
	std::transform(items.begin(), items.end(), *array, convert);
}

} // namespace blksnap::c_api

#endif
