//! Disks for nodes: memory, or ext4 images behind loop devices whose contents at one instant can be
//! saved and restored, as after a power cut. Needs root.
//!
//! Mounts are in the mount namespace of the caller. This module does not know what is on a disk.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::net::run;

/// How often images are read at most until two readings are equal.
const READINGS_MAX: usize = 50;

/// Images are written in pieces of this size; pieces of zeros are left out.
const PIECE_BYTES: usize = 64 << 10;

/// What kind of disk a node's data is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// Memory of this many MiB.
    Memory(u64),
    /// An ext4 image of this many MiB behind a loop device; the image is beside the directory.
    Image(u64),
}

/// Makes a disk and mounts it at `place`, which it creates.
///
/// # Errors
/// When a file cannot be made, or the message of `mkfs.ext4` or `mount`.
pub fn mount(disk: Disk, place: &Path) -> Result<(), String> {
    fs::create_dir_all(place).map_err(|error| failed(place, &error))?;
    match disk {
        Disk::Memory(mib) => {
            let options = format!("size={mib}m,mode=700");
            run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", &shown(place)]).map(drop)
        }
        Disk::Image(mib) => {
            let image = image(place);
            let file = File::create(&image).and_then(|file| file.set_len(mib << 20));
            file.map_err(|error| failed(&image, &error))?;
            // The kernel would do this later by itself and so change an image at rest.
            let whole = "lazy_itable_init=0,lazy_journal_init=0";
            run("mkfs.ext4", &["-q", "-F", "-E", whole, &shown(&image)])?;
            mount_image(&image, place)
        }
    }
}

/// Mounts an image, which replays its journal as after a power cut.
///
/// # Errors
/// The message of `mount`.
pub fn mount_image(image: &Path, place: &Path) -> Result<(), String> {
    run("mount", &["-o", "loop,errors=remount-ro", &shown(image), &shown(place)])?;
    let mode = fs::Permissions::from_mode(0o700);
    fs::set_permissions(place, mode).map_err(|error| failed(place, &error))
}

/// Unmounts `place`.
///
/// # Errors
/// When it is in use or not mounted.
pub fn unmount(place: &Path) -> Result<(), String> {
    run("umount", &[&shown(place)]).map(drop)
}

/// Makes the file system of the image mounted at `place` fail: from then on it refuses writes, as
/// when the disk under it fails.
///
/// # Errors
/// When nothing is mounted there, or it still takes writes.
pub fn fail(place: &Path) -> Result<(), String> {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
    let path = shown(place);
    let device = mounts
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, rest)| rest.split(' ').next() == Some(&path))
        .filter_map(|(device, _)| device.strip_prefix("/dev/"))
        .next_back()
        .ok_or_else(|| format!("{path} is not an image of a disk"))?;
    let trigger = PathBuf::from(format!("/sys/fs/ext4/{device}/trigger_fs_error"));
    fs::write(&trigger, "jepsen").map_err(|error| failed(&trigger, &error))?;
    match File::create(place.join("probe")) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        Err(error) => Err(failed(place, &error)),
        Ok(_) => Err(format!("{path} still takes writes")),
    }
}

/// Repairs the file system at `place` and mounts it again. No process may use it.
///
/// # Errors
/// When it is in use, beyond repair, or cannot be mounted.
pub fn repair(place: &Path) -> Result<(), String> {
    let image = image(place);
    unmount(place)?;
    // The exit code says that something was repaired; the next check shows whether that was enough.
    let _ = run("fsck.ext4", &["-f", "-y", &shown(&image)]);
    run("fsck.ext4", &["-f", "-n", &shown(&image)])?;
    mount_image(&image, place)
}

/// The image of the disk at `place`.
///
/// # Panics
/// When `place` has no name.
#[must_use]
pub fn image(place: &Path) -> PathBuf {
    let name = place.file_name().expect("a mounted directory has a name").to_string_lossy();
    place.with_file_name(format!("{name}.img"))
}

/// The contents of images that may still change, all at one instant: reads them until two readings
/// are equal. Stop all writers first.
///
/// # Errors
/// When one cannot be read, or they keep changing.
pub fn at_one_instant(images: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let read = || -> Result<Vec<Vec<u8>>, String> {
        let bytes = images.iter().map(|image| fs::read(image).map_err(|e| failed(image, &e)));
        bytes.collect()
    };
    let mut seen = read()?;
    for _ in 0..READINGS_MAX {
        let again = read()?;
        if again == seen {
            return Ok(seen);
        }
        seen = again;
    }
    Err("the disks of stopped processes keep changing".to_owned())
}

/// Unmounts the disk at `place` and mounts it again with these contents of its image, as after a
/// power cut. No process may use it.
///
/// # Errors
/// When it is in use, cannot be written, or cannot be mounted.
pub fn put_back(place: &Path, content: &[u8]) -> Result<(), String> {
    let image = image(place);
    unmount(place)?;
    write_sparsely(&image, content).map_err(|error| failed(&image, &error))?;
    mount_image(&image, place)
}

/// Replaces a file, leaving out zeros.
fn write_sparsely(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = File::create(path)?;
    file.set_len(bytes.len() as u64)?;
    for (number, piece) in bytes.chunks(PIECE_BYTES).enumerate() {
        if piece.iter().any(|byte| *byte != 0) {
            file.write_all_at(piece, (number * PIECE_BYTES) as u64)?;
        }
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
