package prometheus

// knownCodes are the codes of the library's errors; docs/reference/errors.md explains them.
var knownCodes = []string{
	"access_denied", "authentication_failed", "authorization_pending", "consent_required", "error",
	"expired_token", "insecure_transport", "insufficient_scope", "insufficient_user_authentication",
	"invalid", "invalid_client", "invalid_client_metadata", "invalid_credentials",
	"invalid_dpop_proof", "invalid_grant", "invalid_redirect_uri", "invalid_request",
	"invalid_request_uri", "invalid_scope", "invalid_target", "invalid_token", "login_required",
	"method_not_allowed", "not_authenticated", "not_found", "not_logged_out", "not_possible",
	"parse_error", "permission_denied", "request_not_supported", "request_uri_not_supported",
	"second_factor_required", "slow_down", "temporarily_unavailable", "throttled", "token_limit",
	"token_not_valid", "too_large", "unauthorized_client", "unavailable",
	"unmet_authentication_requirements", "unsupported_grant_type", "unsupported_media_type",
	"unsupported_response_type", "use_dpop_nonce",
}
