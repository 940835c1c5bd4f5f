//! Certificates and keys in files: reading them, and what they say about their validity.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::Error;

/// Largest file, in bytes: room for some hundred certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// The certificate, then those of authorities between it and the root, if there are any.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl PairFiles {
    /// When each file was last changed; nothing for a file that is not there.
    pub fn changed(&self) -> Vec<Option<SystemTime>> {
        vec![changed(&self.cert), changed(&self.key)]
    }
}

/// When a file was last changed.
pub fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// A certificate with its key.
pub struct Loaded {
    /// The certificate, then those of authorities between it and the root. Never empty.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key.
    pub key: PrivateKeyDer<'static>,
    /// The end of the certificate's validity, in seconds since 1970.
    pub not_after_s: u64,
}

/// Reads a certificate and its key.
///
/// # Errors
/// A file cannot be read, other users can read the key, or a file lacks its part.
pub fn load(files: &PairFiles) -> Result<Loaded, Error> {
    let chain = read_chain(&files.cert)?;
    let not_after_s = validity(&chain[0]).map_or(0, |(_, not_after_s)| not_after_s);
    let mut key = read(&files.key, true)?;
    let parsed = PrivateKeyDer::from_pem_slice(&key);
    // Do not leave a second copy in memory that is free for others.
    key.fill(0);
    let wanted = "private key";
    let key = parsed.map_err(|_| Error::Missing { path: files.key.clone(), wanted })?;
    Ok(Loaded { chain, key, not_after_s })
}

/// Reads all certificates of a file; at least one.
///
/// # Errors
/// The file cannot be read, or has no certificate.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let missing = || Error::Missing { path: path.into(), wanted: "certificate" };
    let bytes = read(path, false)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|_| missing())?;
    if chain.is_empty() { Err(missing()) } else { Ok(chain) }
}

fn read(path: &Path, is_secret: bool) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.into(), source };
    let file = File::open(path).map_err(failed)?;
    // The group is the operator's choice: Kubernetes gives secrets to a container by their group.
    if is_secret && file.metadata().map_err(failed)?.permissions().mode() & 0o004 != 0 {
        return Err(Error::Exposed { path: path.into() });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The DNS names in a certificate, wildcards included. Empty for bytes that are not a certificate.
pub fn dns_names(certificate: &[u8]) -> Vec<String> {
    let certificate = CertificateDer::from(certificate);
    let parsed = webpki::EndEntityCert::try_from(&certificate);
    parsed.map_or_else(|_| Vec::new(), |one| one.valid_dns_names().map(str::to_owned).collect())
}

/// The beginning and the end of a certificate's validity, in seconds since 1970. `None` for bytes
/// that are not a certificate.
pub fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;

    let (_, certificate, _) = element(certificate, Some(SEQUENCE))?;
    let (_, mut fields, _) = element(certificate, Some(SEQUENCE))?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields, None)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields, None)?.2;
    }
    let (_, validity, _) = element(fields, Some(SEQUENCE))?;
    let (kind, not_before, rest) = element(validity, None)?;
    let not_before = seconds(kind, not_before)?;
    let (kind, not_after, _) = element(rest, None)?;
    Some((not_before, seconds(kind, not_after)?))
}

/// Splits DER into the tag and content of its first element, and what follows it.
fn element(der: &[u8], wanted: Option<u8>) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], mut rest) = der.split_first_chunk::<2>()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let digits = usize::from(first & 0x7f);
        if digits > 3 {
            return None;
        }
        let (bytes, after) = rest.split_at_checked(digits)?;
        length = bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    (wanted.is_none_or(|wanted| wanted == tag)).then_some((tag, content, rest))
}

/// Seconds since 1970 of `YYMMDDhhmmssZ` (tag 0x17) or `YYYYMMDDhhmmssZ` (tag 0x18).
fn seconds(tag: u8, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (century, rest) = match (tag, text.len()) {
        // RFC 5280: two digits below 50 are of this century.
        (0x17, 12) => (if text < "50" { 20 } else { 19 }, text),
        (0x18, 14) => (text.get(..2)?.parse().ok()?, text.get(2..)?),
        _ => return None,
    };
    let number = |at: usize| rest.get(at..at + 2)?.parse::<u64>().ok();
    let (year, month, day) = (century * 100 + number(0)?, number(2)?, number(4)?);
    let (hour, minute, second) = (number(6)?, number(8)?, number(10)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let leap_days = (1970..year).filter(|year| is_leap(*year)).count() as u64;
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    let leap_day = u64::from(month > 2 && is_leap(year));
    let days = (year - 1970) * 365 + leap_days + before + leap_day + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        for (tag, text, expected) in [
            (0x17, "700101000000Z", Some(0)),
            (0x17, "240229235959Z", Some(1_709_251_199)),
            (0x17, "491231235959Z", Some(2_524_607_999)),
            (0x18, "20240301000000Z", Some(1_709_251_200)),
            (0x18, "21000301000000Z", Some(4_107_542_400)),
            (0x18, "40960101000000Z", Some(67_090_118_400)),
            (0x17, "500101000000Z", None),
            (0x17, "20240301000000Z", None),
            (0x18, "20241301000000Z", None),
            (0x17, "2402292359", None),
            (0x17, "24é229235959Z", None),
            (0x02, "240229235959Z", None),
        ] {
            assert_eq!(seconds(tag, text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_validity_of_a_certificate_is_found_and_other_bytes_have_none() {
        let mut params = rcgen::CertificateParams::new(["a".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 2, 3);
        params.not_after = rcgen::date_time_ymd(2061, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der();
        assert_eq!(validity(der), Some((1_770_076_800, 2_874_614_400)));
        for length in 0..der.len().min(200) {
            assert_eq!(validity(&der[..length]), None, "{length} bytes");
        }
        for bytes in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x80\x30\x80"] {
            assert_eq!(validity(bytes), None);
        }
    }
}
