use super::*;

const JSON_ONLY: &str = "application/json";

fn vector(name: &str) -> serde_json::Value {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../tests/data/channels.json")).unwrap();
    vectors[name].clone()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

#[test]
fn the_signature_equals_the_vendors_example() {
    let key = ("AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", "Gu5t9xGARNpq86cd98joQYCN3*******");
    let body = br#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;
    let headers =
        [("content-type", "application/json; charset=utf-8"), ("host", "cvm.tencentcloudapi.com"), ("x-tc-action", "DescribeInstances")];
    let vector = vector("tc3_doc_example");
    for count in [2, 3] {
        let headers = &headers[..count];
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let signature = vector[format!("sig {names}")].as_str().unwrap();
        let authorization = authorization(key, "cvm", headers, body, at(1_551_113_065));
        let expected =
            format!("TC3-HMAC-SHA256 Credential={}/2019-02-25/cvm/tc3_request, SignedHeaders={names}, Signature={signature}", key.0);
        assert_eq!(authorization, expected);
    }
}

#[test]
fn the_signature_equals_that_of_the_vendors_client() {
    let vector = vector("tc3_sendsms_sdk");
    let headers = [("content-type", JSON_ONLY), ("host", "sms.tencentcloudapi.com")];
    let body = vector["body"].as_str().unwrap().as_bytes();
    let authorization = authorization(("testSID", "testSKEY"), "sms", &headers, body, at(1_700_000_000));
    assert_eq!(authorization, vector["headers"]["Authorization"].as_str().unwrap());
}

#[test]
fn body_and_signature_equal_the_vector() {
    let vector = vector("tc3_sendsms_utf8");
    let body = Body {
        phone_number_set: ["+8613800001111"],
        sms_sdk_app_id: "1400006666",
        template_id: "1110",
        sign_name: "平安社区",
        template_param_set: &["张奶奶".to_owned(), "24".to_owned()],
        session_context: "ob_01HFZ",
    }
    .bytes();
    assert_eq!(std::str::from_utf8(&body).unwrap(), vector["body"].as_str().unwrap());
    assert_eq!(sha256_hex(&body), vector["sha256"].as_str().unwrap());
    assert_eq!(CONTENT_TYPE, vector["content-type"].as_str().unwrap());
    let headers = [("content-type", CONTENT_TYPE), ("host", "sms.tencentcloudapi.com")];
    let authorization = authorization(("testSID", "testSKEY"), "sms", &headers, &body, at(1_700_000_000));
    assert!(authorization.ends_with(vector["sig"].as_str().unwrap()), "{authorization}");
}

#[test]
fn every_code_says_what_becomes_of_the_message() {
    use OutcomeClass::{Ambiguous, Config, Permanent, SafeRetry, Throttled};
    for (class, codes) in [
        (Throttled, "LimitExceeded.PhoneNumberThirtySecondLimit LimitExceeded.PhoneNumberOneHourLimit LimitExceeded.PhoneNumberDailyLimit"),
        (Throttled, "LimitExceeded.PhoneNumberSameContentDailyLimit LimitExceeded.DeliveryFrequencyLimit"),
        (Throttled, "RequestLimitExceeded RequestLimitExceeded.UinLimitExceeded LimitExceeded.GlobalSmsSendingRateLimit"),
        (SafeRetry, "ResourceInsufficient ServiceUnavailable"),
        (Ambiguous, "InternalError InternalError.Timeout InternalError.SendAndRecvFail InternalError.OtherError FailedOperation"),
        (Config, "AuthFailure.SignatureExpire AuthFailure.SignatureFailure AuthFailure.SecretIdNotFound AuthFailure.UnauthorizedOperation"),
        (Config, "UnauthorizedOperation.RequestIpNotInWhitelist UnauthorizedOperation.SdkAppIdIsDisabled IpNotInWhitelist"),
        (Config, "FailedOperation.SignatureIncorrectOrUnapproved FailedOperation.TemplateIncorrectOrUnapproved"),
        (Config, "FailedOperation.InsufficientBalanceInSmsPackage InvalidParameterValue.SdkAppIdNotExist"),
        (
            Permanent,
            "FailedOperation.PhoneNumberInBlacklist FailedOperation.ContainSensitiveWord InvalidParameterValue.IncorrectPhoneNumber",
        ),
        (Permanent, "InvalidParameterValue.ContentLengthLimit InvalidParameterValue.TemplateParameterFormatError MissingParameter"),
    ] {
        for code in codes.split(' ') {
            let outcome = refusal(code).unwrap();
            assert_eq!(outcome.class, class, "{code}");
            assert!(outcome.detail.ends_with(code), "{}", outcome.detail);
        }
    }
    assert_eq!(refusal("SomethingNew"), None);
}

#[test]
fn a_wrong_clock_is_called_a_wrong_clock() {
    assert_eq!(refusal("AuthFailure.SignatureExpire").unwrap().detail, "clock: AuthFailure.SignatureExpire");
}

#[test]
fn a_limit_holds_for_the_number_or_for_the_account() {
    for (code, seconds, whole_account) in [
        ("LimitExceeded.PhoneNumberThirtySecondLimit", 30, false),
        ("LimitExceeded.PhoneNumberOneHourLimit", 3_600, false),
        ("LimitExceeded.PhoneNumberDailyLimit", 86_400, false),
        ("LimitExceeded.PhoneNumberSameContentDailyLimit", 86_400, false),
        ("RequestLimitExceeded.IPLimitExceeded", 1, true),
    ] {
        let outcome = refusal(code).unwrap();
        assert_eq!((outcome.wait, outcome.whole_account), (Some(TimeDelta::seconds(seconds)), whole_account), "{code}");
    }
}

#[test]
fn a_number_has_its_country_code() {
    for (address, expected) in [("138 0000 1111", Some("+8613800001111")), ("+852 5555 1234", Some("+85255551234")), ("", None)] {
        assert_eq!(number(address).as_deref(), expected);
    }
}
