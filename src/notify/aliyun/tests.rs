use super::*;

fn vector(name: &str) -> serde_json::Value {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../../tests/data/channels.json")).unwrap();
    vectors[name].clone()
}

#[test]
fn the_signature_equals_the_vendors_example() {
    let query = canonical_query(&[("RegionId", "cn-shanghai"), ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd")]);
    let signed = Signed {
        host: "ecs.cn-shanghai.aliyuncs.com",
        action: "RunInstances",
        version: "2014-05-26",
        date: "2023-10-26T10:22:32Z",
        nonce: "3156853299f313e23d1673dc12e1703d",
        query: &query,
    };
    let authorization = signed.authorization("YourAccessKeyId", "YourAccessKeySecret");
    assert_eq!(authorization, vector("acs3_doc_example").as_str().unwrap());
}

#[test]
fn signatures_of_both_services_equal_the_vectors() {
    let param = r#"{"name":"张奶奶","hours":"24"}"#;
    let sms = [
        ("PhoneNumbers", "13800001111"),
        ("SignName", "平安社区"),
        ("TemplateCode", "SMS_123456789"),
        ("TemplateParam", param),
        ("OutId", "ob_01HFZ"),
    ];
    let call = [
        ("CalledNumber", "13800001111"),
        ("TtsCode", "TTS_10001"),
        ("TtsParam", r#"{"name":"张奶奶"}"#),
        ("PlayTimes", "2"),
        ("OutId", "ob_01HFZ"),
    ];
    for (name, host, action, parameters) in
        [("acs3_sendsms", "dysmsapi.aliyuncs.com", "SendSms", sms), ("acs3_tts", "dyvmsapi.aliyuncs.com", "SingleCallByTts", call)]
    {
        let (query, vector) = (canonical_query(&parameters), vector(name));
        assert_eq!(query, vector["canonical_query"].as_str().unwrap());
        let nonce = "0123456789abcdef0123456789abcdef";
        let signed = Signed { host, action, version: VERSION, date: "2023-11-14T22:13:20Z", nonce, query: &query };
        assert_eq!(signed.authorization("testAK", "testSK"), vector["authorization"].as_str().unwrap());
    }
}

#[test]
fn the_query_is_encoded_as_rfc_3986_says() {
    assert_eq!(canonical_query(&[("b", "a b*c~d+e'(f)"), ("a", "=&/")]), "a=%3D%26%2F&b=a%20b%2Ac~d%2Be%27%28f%29");
}

#[test]
fn a_stamp_is_the_same_for_the_same_message_and_time_only() {
    let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let stamp = Stamp::new("msg_1", at);
    assert_eq!(stamp.date, "2023-11-14T22:13:20Z");
    assert_eq!(stamp.nonce.len(), NONCE_LENGTH);
    assert_eq!(stamp.nonce, Stamp::new("msg_1", at).nonce);
    assert_ne!(stamp.nonce, Stamp::new("msg_2", at).nonce);
    assert_ne!(stamp.nonce, Stamp::new("msg_1", at + TimeDelta::milliseconds(1)).nonce);
}

#[test]
fn every_code_says_what_becomes_of_the_message() {
    use OutcomeClass::{Ambiguous, Config, Permanent, SafeRetry, Throttled};
    for (class, codes) in [
        (Throttled, "isv.BUSINESS_LIMIT_CONTROL"),
        (SafeRetry, "Throttling Throttling.User Throttling.Api ServiceUnavailable isv.VOICE_CALL_FAIL"),
        (Ambiguous, "InternalError isp.SYSTEM_ERROR isp.GATEWAY_ERROR isp.UNKNOWN SignatureNonceUsed"),
        (Config, "InvalidTimeStamp.Expired SignatureDoesNotMatch InvalidAccessKeyId.NotFound InvalidAccessKeyId.Inactive Forbidden.RAM"),
        (Config, "isv.OUT_OF_SERVICE isv.AMOUNT_NOT_ENOUGH isv.PRODUCT_UN_SUBSCRIPT isv.PRODUCT_UNSUBSCRIBE isv.ACCOUNT_ABNORMAL"),
        (Config, "isv.SMS_SIGN_ILLEGAL isv.SMS_SIGNATURE_ILLEGAL isv.SMS_SIGNATURE_SCENE_ILLEGAL isv.SIGN_STATE_ILLEGAL"),
        (Config, "isv.SMS_TEMPLATE_ILLEGAL isv.TTS_TEMPLATE_ILLEGAL isv.TEMPLATE_ILLEGAL isv.DISPLAY_NUMBER_ILLEGAL"),
        (Config, "isv.DAY_LIMIT_CONTROL isv.MONTH_LIMIT_CONTROL isv.DENY_IP_RANGE isp.RAM_PERMISSION_DENY"),
        (Permanent, "isv.MOBILE_NUMBER_ILLEGAL isv.INVALID_JSON_PARAM isv.TEMPLATE_MISSING_PARAMETERS isv.PARAM_LENGTH_LIMIT"),
        (Permanent, "isv.PARAM_NOT_SUPPORT_URL isv.BLACK_KEY_CONTROL_LIMIT isv.SMS_CONTENT_ILLEGAL isv.TEMPLATE_PARAMS_ILLEGAL"),
        (Permanent, "isv.SOMETHING_NEW"),
    ] {
        for code in codes.split(' ') {
            let outcome = refusal(code, "").unwrap();
            assert_eq!(outcome.class, class, "{code}");
            assert!(outcome.detail.ends_with(code), "{}", outcome.detail);
            assert!(!outcome.whole_account, "{code} says nothing about other numbers");
        }
    }
    assert_eq!(refusal("MissingParameter", ""), None);
}

#[test]
fn a_wrong_clock_is_called_a_wrong_clock() {
    assert_eq!(refusal("InvalidTimeStamp.Expired", "").unwrap().detail, "clock: InvalidTimeStamp.Expired");
}

#[test]
fn a_limit_lasts_as_long_as_its_message_says() {
    for (message, wait) in [
        ("触发分钟级流控Permits:1", Some(TimeDelta::minutes(1))),
        ("触发小时级流控Permits:5", Some(TimeDelta::hours(1))),
        ("触发天级流控Permits:10", Some(TimeDelta::hours(24))),
        ("", None),
    ] {
        assert_eq!(refusal("isv.BUSINESS_LIMIT_CONTROL", message).unwrap().wait, wait, "{message}");
    }
}
