//! What an MCP message needs. The body decides, never a header: a header that names another tool
//! than the body would be a way around the check.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Scopes that a request needs: all of them (MCP-RS-11).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Need(Vec<String>);

impl Need {
    /// Scope names, without duplicates, in the order they were asked for.
    pub fn scopes(&self) -> &[String] {
        &self.0
    }

    /// Space-separated, as challenges spell it.
    pub fn to_text(&self) -> String {
        self.0.join(" ")
    }

    fn add(&mut self, scopes: &[String]) {
        for scope in scopes {
            if !self.0.contains(scope) {
                self.0.push(scope.clone());
            }
        }
    }
}

/// Scopes by operation.
#[derive(Clone, Debug, Default)]
pub struct McpScopes {
    any: Vec<String>,
    methods: BTreeMap<String, Vec<String>>,
    tools: BTreeMap<String, Vec<String>>,
    /// A scope and what it contains (MCP-RS-12).
    implies: BTreeMap<String, Vec<String>>,
}

/// A JSON-RPC message as far as it matters here.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: Option<Params>,
}

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    name: Option<serde_json::Value>,
}

impl McpScopes {
    /// Every request needs these.
    #[must_use]
    pub fn any<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.any.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Requests of this JSON-RPC method need these too.
    #[must_use]
    pub fn method<S: Into<String>>(
        mut self,
        method: &str,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.methods
            .entry(method.to_owned())
            .or_default()
            .extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Calls of this tool need these too.
    #[must_use]
    pub fn tool<S: Into<String>>(
        mut self,
        tool: &str,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.tools
            .entry(tool.to_owned())
            .or_default()
            .extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Whoever has `scope` has these as well.
    #[must_use]
    pub fn implies<S: Into<String>>(
        mut self,
        scope: &str,
        contained: impl IntoIterator<Item = S>,
    ) -> Self {
        let contained = contained.into_iter().map(Into::into);
        self.implies
            .entry(scope.to_owned())
            .or_default()
            .extend(contained);
        self
    }

    /// What the metadata lists: what every request needs (MCP-RS-14: the minimal useful set).
    pub(crate) fn supported(&self) -> Vec<String> {
        let mut need = Need::default();
        need.add(&self.any);
        need.0
    }

    /// What every request needs.
    pub(crate) fn base(&self) -> Need {
        let mut need = Need::default();
        need.add(&self.any);
        need
    }

    /// Whether the body has to be read at all.
    pub(crate) fn reads_bodies(&self) -> bool {
        !self.methods.is_empty() || !self.tools.is_empty()
    }

    /// What this body needs. A body that is no JSON-RPC message needs what every request needs;
    /// the server behind will refuse it. A batch needs what its messages need together.
    pub(crate) fn need(&self, body: &[u8]) -> Need {
        let mut need = self.base();
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        let messages: Vec<Message> = if first == Some(&b'[') {
            serde_json::from_slice(body).unwrap_or_default()
        } else {
            serde_json::from_slice(body)
                .map(|message| vec![message])
                .unwrap_or_default()
        };
        if messages.is_empty() && !body.is_empty() && self.mentions_a_rule(body) {
            // Unreadable to us but perhaps not to the server behind: ask for everything.
            for scopes in self.methods.values().chain(self.tools.values()) {
                need.add(scopes);
            }
        }
        for message in messages {
            let Some(method) = message.method else {
                continue;
            };
            if let Some(scopes) = self.methods.get(&method) {
                need.add(scopes);
            }
            if method == "tools/call"
                && let Some(name) = message.params.and_then(|params| params.name)
                && let Some(scopes) = name.as_str().and_then(|name| self.tools.get(name))
            {
                need.add(scopes);
            }
        }
        need
    }

    /// Does a token with these scopes have what is needed?
    pub(crate) fn missing(&self, need: &Need, has: impl Fn(&str) -> bool) -> bool {
        need.0.iter().any(|scope| {
            let implied = self
                .implies
                .iter()
                .any(|(holder, contained)| contained.contains(scope) && has(holder));
            !has(scope) && !implied
        })
    }

    fn mentions_a_rule(&self, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body);
        self.methods
            .keys()
            .chain(self.tools.keys())
            .any(|name| text.contains(name.as_str()))
            || text.contains('\\')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> McpScopes {
        McpScopes::default()
            .any(["mcp:read"])
            .tool("write_note", ["mcp:write"])
            .tool("purge", ["mcp:write", "mcp:purge"])
            .implies("mcp:admin", ["mcp:read", "mcp:write"])
    }

    /// MCP-RS-11: one challenge names everything that the operation needs.
    #[test]
    fn an_operation_needs_all_its_scopes_at_once() {
        #[rustfmt::skip]
        let rows = [
            (r#"{"method":"tools/list"}"#,                                   "mcp:read"),
            (r#"{"method":"tools/call","params":{"name":"whoami"}}"#,        "mcp:read"),
            (r#"{"method":"tools/call","params":{"name":"write_note"}}"#,    "mcp:read mcp:write"),
            (r#"{"method":"tools/call","params":{"name":"purge"}}"#,         "mcp:read mcp:write mcp:purge"),
            (r#"[{"method":"tools/list"},{"method":"tools/call","params":{"name":"write_note"}}]"#, "mcp:read mcp:write"),
            (r#"{"method":"prompts/get","params":{"name":"write_note"}}"#,   "mcp:read"),
            (r#"{"result":{}}"#,                                             "mcp:read"),
            ("",                                                             "mcp:read"),
            ("not json",                                                     "mcp:read"),
            (r#"{"method":"tools\u002fcall","params":{"name":"write\u005fnote"}}"#, "mcp:read mcp:write"),
            (r#"{"method":1,"params":{"name":"purge"}}"#,                    "mcp:read mcp:write mcp:purge"),
        ];
        for (body, expected) in rows {
            assert_eq!(rules().need(body.as_bytes()).to_text(), expected, "{body}");
        }
    }

    /// MCP-RS-12: a wider scope counts as those it contains.
    #[test]
    fn a_scope_that_implies_another_suffices() {
        let need = rules().need(br#"{"method":"tools/call","params":{"name":"write_note"}}"#);
        assert!(rules().missing(&need, |scope| scope == "mcp:read"));
        assert!(!rules().missing(&need, |scope| scope == "mcp:admin"));
        assert!(!rules().missing(&need, |scope| scope == "mcp:read" || scope == "mcp:write"));
    }
}
