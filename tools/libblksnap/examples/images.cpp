// SPDX-License-Identifier: GPL-2.0
//
// Copies the image of each device of a snapshot to a file DIRECTORY/MAJOR:MINOR.
//
//   images $id /mnt/backup
#include <blksnap/error.hpp>
#include <blksnap/snapshot.hpp>

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>
#include <vector>

namespace
{

class File final
{
public:
	File(const std::string &path, int flags) : path_{path}, fd_{open(path.c_str(), flags, 0600)}
	{
		if (fd_ < 0)
			blksnap::fail(errno, "cannot open", path_);
	}

	File(const File &) = delete;
	File &operator=(const File &) = delete;

	~File() { close(fd_); }

	// Return: the number of bytes read, 0 at the end. A lost image gives an error, never wrong data.
	std::size_t read(std::vector<char> &buffer)
	{
		const ssize_t got = ::read(fd_, buffer.data(), buffer.size());
		if (got < 0)
			blksnap::fail(errno, "cannot read", path_);
		return static_cast<std::size_t>(got);
	}

	void write(const char *data, std::size_t length)
	{
		while (length) {
			const ssize_t put = ::write(fd_, data, length);
			if (put < 0)
				blksnap::fail(errno, "cannot write", path_);
			data += put;
			length -= static_cast<std::size_t>(put);
		}
	}

private:
	std::string path_;
	int fd_;
};

void copy(const std::string &from, const std::string &to)
{
	File image{from, O_RDONLY};
	File backup{to, O_WRONLY | O_CREAT | O_TRUNC};
	std::vector<char> buffer(1 << 20);

	while (const auto length = image.read(buffer))
		backup.write(buffer.data(), length);
}

void copy_all(const char *id, const std::string &directory)
{
	const auto snapshot = blksnap::Uuid::parse(id);
	const auto images = blksnap::collect_images(blksnap::Control::open(), snapshot);

	if (!images)
		blksnap::fail(ENODEV, "cannot copy the images of snapshot", id);
	for (const auto &image : *images) {
		const auto target = directory + "/" + image.original.to_string();
		copy(image.path(), target);
		std::printf("%s: %s as it was, from %s\n", target.c_str(),
			    blksnap::device_name(image.original).c_str(), image.path().c_str());
	}
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 3) {
		std::fprintf(stderr, "usage: images SNAPSHOT DIRECTORY\n");
		return 1;
	}
	try {
		copy_all(argv[1], argv[2]);
	} catch (const std::exception &error) {
		std::fprintf(stderr, "images: %s\n", error.what());
		return 1;
	}
}
