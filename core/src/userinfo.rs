//! Addresses that anybody may read: the secrets that some people keep in them are taken out.
//!
//! The build script has this file, too: what is embedded in a program goes through it as what becomes a tag does.

/// The text with its first address without `user:password@`; of an SSH address only the password goes.
pub(crate) fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#', '"']).unwrap_or(rest.len()));
    let (userinfo, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user = userinfo.split(':').next().filter(|user| scheme.ends_with("ssh") && !user.is_empty());
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    format!("{scheme}://{user}{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_removed_from_addresses_that_have_one_and_nothing_else_is() {
        for (text, shown) in [
            ("https://user:token@host/a.git", "https://host/a.git"),
            ("https://token@host:8443", "https://host:8443"),
            ("https://host/a@b", "https://host/a@b"),
            ("https://host?user=a@b", "https://host?user=a@b"),
            ("git@host:team/a.git", "git@host:team/a.git"),
            ("ssh://git:secret@host/a.git", "ssh://git@host/a.git"),
            ("ssh://host/a.git", "ssh://host/a.git"),
            ("../mirror", "../mirror"),
            ("source = \"git+https://t:k@host/a?rev=1#2\"\n", "source = \"git+https://host/a?rev=1#2\"\n"),
            (" \"a 1.0.0 (sparse+https://t@host)\",\n", " \"a 1.0.0 (sparse+https://host)\",\n"),
            (" \"a 1.0.0 (git+ssh://git@host)\",\n", " \"a 1.0.0 (git+ssh://git@host)\",\n"),
            ("# @generated\n", "# @generated\n"),
        ] {
            assert_eq!(without_userinfo(text), shown);
        }
    }
}
