//! The URL parser and serializer, for `URL`.

use rquickjs::{Ctx, Object, Result};
use url::Url;

use super::{OpError, Ops};

pub(super) fn declare<'js>(ops: &mut Ops<'_, 'js>) -> Result<()> {
    ops.add(
        "op_url_parse",
        |ctx: Ctx<'js>, url: String, base: Option<String>| -> Result<Option<Object<'js>>> {
            parse(&url, base.as_deref())
                .map(|url| parts(&ctx, &url))
                .transpose()
        },
    )?;

    ops.add(
        "op_url_set",
        |ctx: Ctx<'js>, href: String, part: String, value: String| -> Result<Object<'js>> {
            let mut url = Url::parse(&href)
                .map_err(|error| OpError::type_error(error.to_string()).throw(&ctx))?;
            set(&mut url, &part, &value);
            parts(&ctx, &url)
        },
    )?;

    ops.add("op_form_parse", |text: String| -> Vec<Vec<String>> {
        url::form_urlencoded::parse(text.as_bytes())
            .map(|(name, value)| vec![name.into_owned(), value.into_owned()])
            .collect()
    })?;

    ops.add("op_form_serialize", |pairs: Vec<Vec<String>>| {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for pair in &pairs {
            if let [name, value] = &pair[..] {
                form.append_pair(name, value);
            }
        }
        form.finish()
    })
}

fn parse(url: &str, base: Option<&str>) -> Option<Url> {
    let base = base.map(Url::parse).transpose().ok()?;
    Url::options().base_url(base.as_ref()).parse(url).ok()
}

/// The members of `URL`, as it shows them.
fn parts<'js>(ctx: &Ctx<'js>, url: &Url) -> Result<Object<'js>> {
    use url::quirks;
    let parts = Object::new(ctx.clone())?;
    parts.set("href", quirks::href(url))?;
    parts.set("origin", origin(url))?;
    parts.set("protocol", quirks::protocol(url))?;
    parts.set("username", quirks::username(url))?;
    parts.set("password", quirks::password(url))?;
    parts.set("host", quirks::host(url))?;
    parts.set("hostname", quirks::hostname(url))?;
    parts.set("port", quirks::port(url))?;
    parts.set("pathname", quirks::pathname(url))?;
    parts.set("search", quirks::search(url))?;
    parts.set("hash", quirks::hash(url))?;
    Ok(parts)
}

/// *Origin* of a URL, serialized: that of a `blob:` URL counts only if it is of http or https.
fn origin(url: &Url) -> String {
    let is_foreign = url.scheme() == "blob"
        && !(url.path().starts_with("http:") || url.path().starts_with("https:"));
    if is_foreign {
        return "null".to_owned();
    }
    url::quirks::origin(url)
}

/// A setter of `URL`. What it cannot set it leaves as it was, as the standard says.
fn set(url: &mut Url, part: &str, value: &str) {
    use url::quirks;
    let refused = match part {
        "protocol" => quirks::set_protocol(url, value),
        "username" => quirks::set_username(url, value),
        "password" => quirks::set_password(url, value),
        "host" => quirks::set_host(url, value),
        "hostname" => quirks::set_hostname(url, value),
        "port" => quirks::set_port(url, value),
        "pathname" => {
            quirks::set_pathname(url, value);
            Ok(())
        }
        "search" => {
            quirks::set_search(url, value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(url, value);
            Ok(())
        }
        _ => Err(()),
    };
    if refused.is_err() {
        tracing::trace!(part, value, "a URL setter had no effect");
    }
}
