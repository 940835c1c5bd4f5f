//! The file that is being received. It survives a restart: what was received of it in whole blocks
//! counts, and the rest is fetched again.

use std::io::BufReader;

use engine::ids::NodeId;

use super::partial::Incoming;
use super::{Error, Input, Meta, Snapshots, WRITE_BYTES, at, format, name_of, stranger};

/// The names of all files that are being received begin so.
const PREFIX: &str = "incoming";

/// The name tells which file of which node it is.
fn incoming_name(from: NodeId, index: u64, term: u64) -> String {
    format!("{PREFIX}-{index:020}-{term}-{from}.new")
}

/// The index of a file that is being received. Former versions named all of them alike.
fn index_of(name: &str) -> Option<u64> {
    let rest = name.strip_prefix(PREFIX)?;
    let digits = rest.strip_prefix('-').and_then(|rest| rest.split('-').next());
    Some(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0))
}

impl Snapshots {
    /// Begins to receive the snapshot of this index and term from a node, or continues. Returns how
    /// many bytes of its file are here. Removes what is here of other files.
    ///
    /// # Errors
    /// When the files cannot be listed, read, made or removed.
    pub fn begin_receiving(&self, from: NodeId, index: u64, term: u64) -> Result<u64, Error> {
        let name = incoming_name(from, index, term);
        let mut incoming = self.incoming.lock();
        if let Some(open) = &*incoming
            && open.name == name
        {
            return Ok(open.bytes);
        }
        *incoming = None;
        self.remove_incoming(|other| *other != name)?;
        let bytes = match self.files.size(&name).map_err(at(&name))? {
            Some(_) => self.sound_bytes(&name, index, term),
            None => 0,
        };
        match bytes {
            0 => self.files.create(&name).map_err(at(&name))?,
            _ => self.files.reopen(&name, bytes).map_err(at(&name))?,
        }
        *incoming = Some(Incoming { name, bytes });
        Ok(bytes)
    }

    /// How much of a file that was received in part is this snapshot, in whole blocks.
    fn sound_bytes(&self, name: &str, index: u64, term: u64) -> u64 {
        let input = Input { files: &*self.files, name, offset: 0 };
        let input = BufReader::with_capacity(WRITE_BYTES, input);
        match format::Reader::new(input) {
            Ok((mut reader, header))
                if (header.cluster, header.index, header.term) == (self.cluster, index, term) =>
            {
                reader.sound_bytes()
            }
            _ => 0,
        }
    }

    /// Writes a part of the snapshot that is being received.
    ///
    /// # Errors
    /// When it cannot be written, or does not follow the part before.
    pub fn receive(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut incoming = self.incoming.lock();
        let Some(Incoming { name, bytes: here }) = &mut *incoming else {
            return Err(stranger(PREFIX, "not being received".into()));
        };
        #[cfg(feature = "simulation")]
        let follows = *here == offset || crate::planted::writes_parts_anywhere();
        #[cfg(not(feature = "simulation"))]
        let follows = *here == offset;
        if !follows {
            return Err(stranger(name, format!("{here} bytes long, not {offset}")));
        }
        if let Err(source) = self.files.append(name, bytes) {
            // How much of it was written is not known.
            let name = std::mem::take(name);
            *incoming = None;
            let _ = self.files.remove(&name);
            return Err(Error::Io { name, source });
        }
        *here += bytes.len() as u64;
        Ok(())
    }

    /// Completes the received file: syncs, reads it back, and renames it into place. A file that
    /// proves damaged is removed.
    ///
    /// # Errors
    /// When it is damaged, of another cluster, or of another index or term.
    pub fn received(&self, index: u64, term: u64) -> Result<Meta, Error> {
        let Some(Incoming { name, .. }) = self.incoming.lock().take() else {
            return Err(stranger(PREFIX, "not being received".into()));
        };
        self.files.sync(&name).map_err(at(&name))?;
        let read = self.read(&name, &mut |_, _| Ok(())).and_then(|meta| {
            match (meta.index, meta.term) == (index, term) {
                true => Ok(meta),
                false => {
                    let what = format!("of index {} in term {}", meta.index, meta.term);
                    Err(stranger(&name, what))
                }
            }
        });
        let meta = read.inspect_err(|error| {
            if error.is_damage() {
                // If this fails, the next transfer finds out how much of it is sound.
                let _ = self.files.remove(&name);
            }
        })?;
        self.files.rename(&name, &name_of(index)).map_err(at(&name))?;
        self.remember(&meta);
        Ok(meta)
    }

    /// Removes what was received in part of snapshots up to this index, unless it is being
    /// received.
    pub(super) fn remove_incoming_up_to(&self, index: u64) -> Result<(), Error> {
        let incoming = self.incoming.lock();
        let open = incoming.as_ref().map(|incoming| incoming.name.as_str());
        self.remove_incoming(|name| {
            Some(name) != open && index_of(name).is_some_and(|of| of <= index)
        })
    }

    fn remove_incoming(&self, is_removed: impl Fn(&str) -> bool) -> Result<(), Error> {
        let names = self.files.list().map_err(at("directory"))?;
        for name in names.iter().filter(|name| index_of(name).is_some() && is_removed(name)) {
            self.files.remove(name).map_err(at(name))?;
        }
        Ok(())
    }
}
