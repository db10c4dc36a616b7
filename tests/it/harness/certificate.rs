//! An authority of a test's own and a certificate of it for `localhost`.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes `ca.pem`, `cert.pem` and `key.pem` into the folder.
pub fn make(openssl: &Path, folder: &Path) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority = ["-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority"];
    let request = ["-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost"];
    let sign = ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
    fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").expect("the folder is writable");
    for arguments in [
        [["req"].as_slice(), &key, &authority].concat(),
        [["req"].as_slice(), &key, &request].concat(),
        [sign.as_slice(), &["-extfile", "names", "-out", "cert.pem"]].concat(),
    ] {
        let made = Command::new(openssl).args(arguments).current_dir(folder).output().expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}
