/**
 * Names of files and folders that git, shells, editors and coding agents obey by themselves: the one home of what policy, catalogue and sandbox say of
 * them. Exact, `prefix*` or `*suffix`, of any segment of a path, ASCII case ignored. Must never be read as complete (SECURITY A20).
 */

/** What git reads of its own accord, and where its hooks are kept. */
export const GIT_OBEYS = ['.gitattributes', '.gitmodules', '.gitconfig', '.githooks', '.husky'] as const;
/** Configuration of programs that install hooks. */
export const HOOK_MANAGERS = [
  'lefthook*',
  '.lefthook*',
  '.pre-commit-config.*',
  '.pre-commit-hooks.*',
  '.overcommit.yml',
  '.simple-git-hooks.*',
] as const;
/** What a shell runs on entering a folder. */
export const SHELLS_OBEY = ['.envrc', '.direnv'] as const;
/** Tasks, settings and containers of editors. */
export const EDITORS_OBEY = [
  '.vscode',
  '.idea',
  '.fleet',
  '.zed',
  '.vs',
  '.devcontainer*',
  '*.code-workspace',
  '.vimrc',
  '.exrc',
  '.nvimrc',
  '.nvim.lua',
  '.dir-locals.el',
  '*.sublime-project',
] as const;
/** Instructions that coding agents of several makers read. */
export const AGENT_INSTRUCTIONS = ['claude.md', 'agents.md', 'gemini.md'] as const;
/** Folders from which coding agents take settings and commands. */
export const AGENT_FOLDERS = ['.claude', '.codex'] as const;
/** Everything that a coding agent obeys, our own folder included. */
export const AGENTS_OBEY = [
  ...AGENT_INSTRUCTIONS,
  ...AGENT_FOLDERS,
  '.openexec',
  'claude.local.md',
  '.mcp.json',
  'mcp.json',
  'agents.override.md',
  '.agents',
  '.gemini',
  '.cursor',
  '.cursorrules',
  '.windsurf*',
  '.clinerules',
  '.roo*',
  '.aider*',
  '.continue',
  '.goosehints',
  '.junie',
  '.kiro',
  '.opencode',
  'opencode.json*',
] as const;
